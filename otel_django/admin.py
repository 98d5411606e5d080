"""What this package adds to the site's admin, be it Django's own or Unfold's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpResponseRedirect
from django.urls import path

from otel_django import (
    admin_alerts,  # noqa: F401 - registers its pages
    admin_health,  # noqa: F401 - registers its page
    admin_levels,  # noqa: F401 - as above
    admin_pages,
)
from otel_django.models import Errors, HealthMetric, Logs, Overview, Traces
from otel_django.web.permissions import has_permission
from otel_django.web.system_health import PERMISSION, health_api_view

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.urls import URLPattern

    _ModelAdmin = admin.ModelAdmin[HealthMetric]
elif apps.is_installed("unfold"):
    from unfold.admin import ModelAdmin as _ModelAdmin
else:
    _ModelAdmin = admin.ModelAdmin


@admin.register(HealthMetric)
class HealthMetricAdmin(_ModelAdmin):
    """What was found in the past, to look at; and below it what is so now, as JSON."""

    list_display = ("metric_name", "status", "timestamp", "hourly")
    list_filter = ("status", "metric_name", "hourly")
    search_fields = ("metric_name",)
    ordering = ("-timestamp", "-id")
    show_full_result_count = False

    def get_urls(self) -> list[URLPattern]:
        """``…/healthmetric/now/`` besides the usual ones."""
        return [path("now/", health_api_view, name="otel_django_health_api"), *super().get_urls()]

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whoever may see it sees where it is."""
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Superusers, and staff with the permission."""
        return has_permission(request, PERMISSION)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody: rows are made by looking."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody: they go by their age."""
        return False


@admin.register(Overview, Traces, Logs, Errors)
class PageAdmin(_ModelAdmin):
    """An entry of the list of applications that leads to a page outside the admin."""

    def get_urls(self) -> list[URLPattern]:
        """The page stands where the list of objects would."""
        name = f"otel_django_{self.model._meta.model_name}_changelist"
        return [path("", self.admin_site.admin_view(self.to_page), name=name)]

    def to_page(self, request: HttpRequest) -> HttpResponseRedirect:
        """There."""
        address = admin_pages.address(str(self.model._meta.model_name))
        if address is None or not self.has_view_permission(request):
            raise PermissionDenied
        return HttpResponseRedirect(address)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whoever may see it sees where it is."""
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Staff."""
        return admin_pages.may_see(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody: there are no objects."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False
