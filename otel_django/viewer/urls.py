"""The pages, by name, for ``otel_django.urls``.

A page is imported when it is asked for first: commands load the URLconf, too, and show none.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from django.urls import path, register_converter

from otel_django.viewer.paths import PATHS, HexConverter
from otel_django.viewer.unseen import unseen
from otel_django.web import early

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

register_converter(HexConverter, "hex")
VIEWS: Final = {
    "overview": "pages.overview",
    "dashboard": "pages.dashboard",
    "part": "pages.dashboard",
    "traces": "pages.traces",
    "trace": "pages.trace",
    "endpoints": "pages.endpoints",
    "database": "pages.database",
    "cache": "pages.cache",
    "tasks": "pages.tasks",
    "errors": "pages.errors",
    "error": "pages.error",
    "logs": "pages.logs",
    "metrics": "pages.metrics",
    "services": "pages.services",
    "alerts": "pages.alerts",
    "alert": "pages.alert",
    "silences": "pages.silences",
    "rules": "pages.rules",
    "rule": "pages.rule",
    "health": "pages.health",
    "static": "assets",
}
"""Name → its module in this package, which has a view of that name."""


def view_of(name: str) -> Callable[..., HttpResponseBase]:
    def view(request: HttpRequest, **named: Any) -> HttpResponseBase:
        with unseen(request):
            module = importlib.import_module(f"otel_django.viewer.{VIEWS[name]}")
            response: HttpResponseBase = getattr(module, name)(request, **named)
        return response

    view.__name__ = view.__qualname__ = name
    early.unburden(view)
    return view


urlpatterns = [path(PATHS[name], view_of(name), name=name) for name in VIEWS]
