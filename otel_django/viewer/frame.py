"""What stands around each page: navigation, service, range, search."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_django.errors import ReadError
from otel_django.viewer.login import login_address, person
from otel_django.viewer.ranges import LENGTHS, USUAL
from otel_django.web import alert_records

if TYPE_CHECKING:
    from otel_django.viewer.visit import Visit

NAVIGATION: Final = (
    ("overview", "Overview"),
    ("dashboard", "Dashboard"),
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
    ("alerts", "Alerts"),
)
_PARENT: Final = {
    "part": "dashboard",
    "trace": "traces",
    "error": "errors",
    **dict.fromkeys(("alert", "silences", "rules", "rule"), "alerts"),
}


class Item(NamedTuple):
    """An entry of the navigation, or of a choice."""

    title: str
    address: str
    current: bool
    name: str = ""
    number: int = 0


def frame(visit: Visit) -> dict[str, Any]:
    """The frame's part of a template's context."""
    here = _PARENT.get(visit.page, visit.page)
    return {
        "navigation": [
            Item(title, visit.url(name), name == here, name, _number(visit, name))
            for name, title in NAVIGATION
        ],
        "ranges": [
            Item(length, visit.over(length), length == visit.range.key)
            for length in (LENGTHS if visit.page == "part" else USUAL)
        ],
        "services": _services(visit),
        "kept": _kept(visit),
        "environment": visit.settings.resource_attributes.get("deployment.environment.name", ""),
        "debug": visit.settings.debug,
        "person": person(visit.request),
        "login": login_address(visit.request),
    }


def _number(visit: Visit, name: str) -> int:
    """How many alerts fire, behind the name of their page."""
    return alert_records.count_active(visit.settings.database) if name == "alerts" else 0


class Kept(NamedTuple):
    """From when on there is anything, of a range that begins before; ``none``: it ends before."""

    since_ns: int
    none: bool
    address: str


def _kept(visit: Visit) -> Kept | None:
    since_ns = None
    if visit.found is not None and visit.page not in {"alerts", *_PARENT}:
        with contextlib.suppress(ReadError):
            since_ns = visit.found.kept.since_ns()
    if since_ns is None or since_ns <= visit.range.since_ns:
        return None
    address = visit.here(**{"range": None, "from": -(-since_ns // 1_000_000), "to": None})
    return Kept(since_ns, visit.range.until_ns <= since_ns, address)


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
