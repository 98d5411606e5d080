"""The page of the admin on which superusers change levels of loggers, for a time."""

from __future__ import annotations

import logging
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.translation import gettext_lazy

from otel_django import conf, host_environment
from otel_django.logs import levels, set_level
from otel_django.logs.severity import LEVELS
from otel_django.models import LogLevel

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase
    from django.urls import URLPattern

    _ModelAdmin = admin.ModelAdmin[LogLevel]
else:
    _ModelAdmin = admin.ModelAdmin

ROOT: Final = "root"
_USUAL_MINUTES: Final = 30
_MOST_MINUTES: Final = 24 * 60
_MOST_SHOWN: Final = 1000


class LevelForm(forms.Form):
    """Which logger tells how much, and for how long; without a level: what it was."""

    logger = forms.CharField(
        max_length=200,
        help_text="Such as shop.orders, with all below it; root is the root.",
        widget=forms.TextInput(attrs={"list": "known-loggers"}),
    )
    level = forms.ChoiceField(choices=[(name, name) for name in LEVELS], required=False)
    minutes = forms.IntegerField(
        min_value=1,
        max_value=_MOST_MINUTES,
        initial=_USUAL_MINUTES,
        required=False,
        help_text="After that it is again what it was.",
    )

    def clean_minutes(self) -> int:
        """Not for ever: who changes a level here may forget it."""
        return self.cleaned_data["minutes"] or _USUAL_MINUTES

    def apply(self) -> str:
        """Change the level in every process of this host; what was done, in words.

        Raises:
            OSError: when it can't be written.
        """
        logger, level = self.cleaned_data["logger"], self.cleaned_data["level"] or None
        minutes = self.cleaned_data["minutes"]
        set_level("" if logger == ROOT else logger, level, for_s=60 * minutes)
        return f"Level of {logger}: " + (f"{level} for {minutes} minutes" if level else "as it was")


@admin.register(LogLevel)
class LogLevelAdmin(_ModelAdmin):
    """One page, which looks like any of the admin's."""

    def get_urls(self) -> list[URLPattern]:
        """The page stands where the list of objects would."""
        view = self.admin_site.admin_view(self.levels_view)
        return [path("", view, name="otel_django_loglevel_changelist")]

    def levels_view(self, request: HttpRequest) -> HttpResponseBase:
        """GET shows what is changed, POST changes it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method not in {"GET", "HEAD", "POST"}:
            return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
        form = LevelForm(request.POST if request.method == "POST" else None)
        if form.is_bound and form.is_valid():
            try:
                done = form.apply()
            except OSError as error:
                form.add_error(None, f"It can't be written: {error.strerror}.")
            else:
                self.log_change(request, LogLevel(name=form.cleaned_data["logger"]), done)
                messages.success(request, done)
                return HttpResponseRedirect(request.path)
        return TemplateResponse(
            request,
            "otel_django/log_levels.html",
            {
                **self.admin_site.each_context(request),
                "title": gettext_lazy("Log levels"),
                "opts": self.model._meta,
                "form": form,
                "changed": _changed(),
                "known": sorted(logging.root.manager.loggerDict)[:_MOST_SHOWN],
                "host": host_environment.host_name(),
            },
        )

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whoever may see it sees where it is."""
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Superusers: a level can fill a disk."""
        user = request.user
        return user.is_active and user.is_superuser

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody: there are no objects."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False


def _changed() -> list[tuple[str, str, datetime | None]]:
    """Logger, level, and until when; without, until it is taken back."""
    return [
        (
            logger or ROOT,
            changed.level,
            datetime.fromtimestamp(changed.until_s, timezone.utc) if changed.until_s else None,
        )
        for logger, changed in sorted(levels.levels(conf.from_django().run_dir).items())
    ]
