"""Errors, grouped: what broke, since when, and what was decided about it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from otel_django.viewer import chart
from otel_django.viewer.error_rows import error_rows
from otel_django.viewer.errors_state import StatesAwayError, decisions
from otel_django.viewer.page import Context, page
from otel_django.viewer.table import Column, in_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_django.viewer.error_rows import ErrorRow
    from otel_django.viewer.errors_state import Shown
    from otel_django.viewer.visit import Visit

MOST: Final = 500
COLUMNS: Final = (
    Column("what", "Error", "By name", text=True),
    Column("where", "Where", "By route or task", text=True, classes="roomy"),
    Column("count", "Times", "The most frequent first"),
    Column("first", "First seen", "The newest kind first", classes="number roomy"),
    Column("last", "Last seen", "The latest first"),
    Column("service", "Service", "By name", text=True, classes="roomy"),
)
TABS: Final[dict[str, frozenset[Shown]]] = {
    "open": frozenset({"open", "back"}),
    "resolved": frozenset({"resolved"}),
    "ignored": frozenset({"ignored"}),
    "all": frozenset({"open", "back", "resolved", "ignored"}),
}


@page("errors", "Errors")
def errors(visit: Visit) -> Context:
    """Kinds of errors that were seen in the range; the open ones unless asked otherwise."""
    when = visit.range
    found = visit.readers.errors.groups(when.since_ns, when.until_ns, visit.service, limit=MOST)
    trouble = ""
    try:
        decided = decisions(visit.settings.database, [group.fingerprint for group in found.groups])
    except StatesAwayError as error:
        decided, trouble = {}, str(error)
    releases = chart.releases_of(visit, 0) if found.groups else ()
    words = visit.text("q").lower().split()
    every = [row for row in error_rows(found.groups, decided, releases, when) if _has(row, words)]
    tab = visit.chosen("state", *TABS)
    rows, headings = in_order(
        visit, [row for row in every if row.state in TABS[tab]], COLUMNS, "last"
    )
    return {
        **_answer(rows),
        "rows": rows,
        "headings": headings,
        "tab": tab,
        "tabs": _tabs(visit, every, tab),
        "others": len(every) - len(rows),
        "partial": found.partial,
        "states_away": trouble,
        "shown": len(found.groups),
        "total": found.total,
    }


def _has(row: ErrorRow, words: Sequence[str]) -> bool:
    group = row.group
    text = f"{group.type} {group.message} {group.place} {group.where} {group.service}".lower()
    return all(word in text for word in words)


def _answer(rows: Sequence[ErrorRow]) -> dict[str, Any]:
    return {
        "times": sum(row.count for row in rows),
        "back": sum(row.state == "back" for row in rows),
        "new": sum(bool(row.new) for row in rows),
        "most": max(rows, key=lambda row: row.count, default=None),
    }


def _tabs(visit: Visit, rows: Sequence[ErrorRow], chosen: str) -> list[tuple[str, str, int, bool]]:
    """Title, address, how many, whether it is this one."""
    states = Counter(row.state for row in rows)
    return [
        (
            name,
            visit.here(state=None if name == "open" else name),
            sum(states[state] for state in shown),
            name == chosen,
        )
        for name, shown in TABS.items()
    ]
