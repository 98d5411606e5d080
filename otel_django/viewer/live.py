"""Lists that go on: what came since is counted every two seconds, and shown when asked for.

The page's address with ``had`` (rows shown) and ``since`` (nanoseconds: where the list began to be
whole) answers with the fragment alone, or with nothing where that would say what it says already
(``told``). Rows that began earlier but came later are counted, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from django.http import HttpResponse

from otel_django.viewer.templating import render

if TYPE_CHECKING:
    from otel_django.viewer.visit import Visit

MOST_NEW: Final = 400
_MOST: Final = 2**63 - 1

Count: TypeAlias = "Callable[[int, int], int]"
"""How many rows the list has since a time, counted up to a number."""


@dataclass(frozen=True, slots=True)
class Live:
    """``turn`` is the page's address with it on or off; ``poll`` asks for what is new."""

    on: bool
    turn: str
    poll: str


def live(visit: Visit, shown: int, since_ns: int) -> Live | None:
    """For a list of ``shown`` rows that is whole from ``since_ns`` on; None: it has an end."""
    if not visit.range.key:
        return None
    on = visit.live and not visit.text("cursor")
    turn = visit.here(cursor=None, live=None if on else "1")
    return Live(on, turn, visit.here(had=shown, since=since_ns) if on else "")


def anew(visit: Visit) -> Live | None:
    """For a page, or a part of one, that is made anew; None: its range has an end."""
    if not visit.range.key:
        return None
    return Live(visit.live, visit.here(live=None if visit.live else "1"), visit.here())


def newer(visit: Visit, count: Count) -> HttpResponse | None:
    """The answer to ``poll``; None where the address asks for the page."""
    had, since_ns = _number(visit, "had"), _number(visit, "since")
    if had is None or since_ns is None:
        return None
    found = max(0, count(since_ns, had + MOST_NEW) - had)
    if found == (_number(visit, "told") or 0):
        return HttpResponse(status=204)
    context = {
        "live": Live(True, "", visit.here(told=found)),
        "new": found,
        "more": found >= MOST_NEW,
        "page": visit.here(had=None, since=None, told=None),
    }
    return HttpResponse(render("_newer.html", context))


def _number(visit: Visit, name: str) -> int | None:
    text = visit.text(name)
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        return None
    return min(int(text), _MOST)
