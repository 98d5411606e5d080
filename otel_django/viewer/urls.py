"""The pages, by name, for ``otel_django.urls``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.urls import path, register_converter

from otel_django.viewer.assets import static
from otel_django.viewer.pages.traces import traces
from otel_django.viewer.paths import PATHS, HexConverter

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

register_converter(HexConverter, "hex")
VIEWS: Final[dict[str, Callable[..., Any]]] = {
    "traces": traces,
}

urlpatterns = [
    *(path(PATHS[name], view, name=name) for name, view in VIEWS.items()),
    path("static/<path:name>", static, name="static"),
]
