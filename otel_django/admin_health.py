"""*System health*: the dashboard as a page of the admin, be it Django's own or Unfold's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy

from otel_django.admin_pages import address
from otel_django.clock import SYSTEM_CLOCK
from otel_django.models import SystemHealth
from otel_django.viewer import assets
from otel_django.viewer.board.board import look
from otel_django.viewer.readers import readers_of
from otel_django.viewer.templating import render
from otel_django.viewer.visit import Visit
from otel_django.web.permissions import has_permission
from otel_django.web.site_settings import site_settings
from otel_django.web.system_health import PERMISSION

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase
    from django.urls import URLPattern

    _ModelAdmin = admin.ModelAdmin[SystemHealth]
else:
    _ModelAdmin = admin.ModelAdmin


@admin.register(SystemHealth)
class SystemHealthAdmin(_ModelAdmin):
    """One page; its script asks the JSON beside it, and shows the page anew where that changed."""

    def get_urls(self) -> list[URLPattern]:
        """The page stands where the list of objects would, its script and style below it."""
        view = self.admin_site.admin_view(self.health_dashboard_view)
        return [
            path("", view, name="otel_django_systemhealth_changelist"),
            path("static/<path:name>", assets.static, name="otel_django_systemhealth_static"),
        ]

    def health_dashboard_view(self, request: HttpRequest) -> HttpResponseBase:
        """For superusers, and staff with the permission."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        here = reverse(f"{self.admin_site.name}:otel_django_systemhealth_changelist")
        response = TemplateResponse(
            request,
            "otel_django/system_health.html",
            {
                **self.admin_site.each_context(request),
                "title": gettext_lazy("System health"),
                "opts": self.model._meta,
                "board": _board(request),
                "state": reverse(f"{self.admin_site.name}:otel_django_health_api"),
                "style": assets.address(here, "admin_board.css"),
                "script": assets.address(here, "admin_board.js"),
            },
        )
        response.headers["Cache-Control"] = "no-store"
        return response

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whoever may see it sees where it is."""
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Superusers, and staff with the permission."""
        return has_permission(request, PERMISSION)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody: there are no objects."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False


def _board(request: HttpRequest) -> str:
    """As HTML; its links lead to the pages, where the site has them."""
    settings = site_settings()
    pages = address("overview") if settings.viewer else None
    visit = Visit(
        request=request,
        settings=settings,
        page="dashboard",
        base=pages or "",
        now_ns=SYSTEM_CLOCK.now_ns(),
        found=readers_of(settings),
    )
    context = {"visit": visit, "board": look(settings), "unlinked": pages is None}
    return mark_safe(render("admin_board.html", context))  # noqa: S308 - our own engine escapes
