"""What stands around each page: navigation, service, range, search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_django.errors import ReadError
from otel_django.viewer.ranges import LENGTHS

if TYPE_CHECKING:
    from otel_django.viewer.visit import Visit

NAVIGATION: Final = (
    ("overview", "Overview"),
    ("traces", "Traces"),
    ("logs", "Logs"),
    ("metrics", "Metrics"),
    ("endpoints", "Endpoints"),
    ("database", "Database"),
    ("cache", "Cache"),
    ("tasks", "Tasks"),
    ("errors", "Errors"),
    ("services", "Services"),
    ("health", "Health"),
)
_ENDS: Final = {"from": None, "to": None}
_PARENT: Final = {"trace": "traces", "error": "errors"}


class Item(NamedTuple):
    """An entry of the navigation, or of a choice."""

    title: str
    address: str
    current: bool
    name: str = ""


def frame(visit: Visit) -> dict[str, Any]:
    """The frame's part of a template's context."""
    here = _PARENT.get(visit.page, visit.page)
    return {
        "navigation": [
            Item(title, visit.url(name), name == here, name) for name, title in NAVIGATION
        ],
        "ranges": [
            Item(
                key, visit.here(**{"range": key, "from": None, "to": None}), key == visit.range.key
            )
            for key in LENGTHS
        ],
        "services": _services(visit),
        "environment": visit.settings.resource_attributes.get("deployment.environment.name", ""),
        "debug": visit.settings.debug,
    }


def _services(visit: Visit) -> tuple[str, ...]:
    """Those there are traces of, and the one that is chosen."""
    known: tuple[str, ...] = ()
    if visit.found is not None:
        try:
            known = visit.found.traces.services()
        except ReadError:
            known = ()
    chosen = () if visit.service is None or visit.service in known else (visit.service,)
    return (*known, *chosen)
