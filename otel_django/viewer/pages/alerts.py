"""Alerts: what fires now, who takes care of it, and what there was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_django.viewer.alert_rows import MS, Row, has, tabs
from otel_django.viewer.live import anew
from otel_django.viewer.page import Context, page
from otel_django.viewer.table import Column, in_order
from otel_django.web import alert_records, csrf
from otel_django.web.alert_decisions import ACKNOWLEDGE
from otel_django.web.alert_rules import rules_of
from otel_django.web.permissions import has_permission

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_django.models import SystemAlert
    from otel_django.viewer.visit import Visit

COLUMNS: Final = (
    Column("badness", "State", "The worst first", classes="state-word"),
    Column("name", "Alert", "By name", text=True),
    Column("since_ns", "Since", "The newest first"),
)
PAST_COLUMNS: Final = (
    Column("ended_ns", "Ended", "The latest first"),
    Column("name", "Alert", "By name", text=True),
    Column("lasted_ns", "Lasted", "The longest first"),
)


@page("alerts", "Alerts")
def alerts(visit: Visit) -> Context:
    """What fires now; ``?state=history``: what did in the range."""
    past = visit.chosen("state", "active", "history") == "history"
    every = visit.parts.ask("alerts", lambda: _found(visit, past))
    rules = rules_of(visit.settings)
    now_ms, database = visit.now_ns // MS, visit.settings.database
    back = visit.parts.ask(
        "silences", lambda: alert_records.held_back([] if past else every or [], database, now_ms)
    )
    made = [
        Row(one, visit, rules.rules.get(one.alert_type), (back or {}).get(one.pk))
        for one in every or ()
    ]
    words = visit.text("q").lower().split()
    shown = [row for row in made if has(row, words) and visit.service in {None, row.service, ""}]
    columns, first = (PAST_COLUMNS, "ended_ns") if past else (COLUMNS, "badness")
    rows, headings = in_order(visit, shown, columns, first)
    may = has_permission(visit.request, ACKNOWLEDGE)
    return {
        "past": past,
        "known": every is not None,
        "live": None if past else anew(visit),
        "rows": rows,
        "headings": headings,
        "others": len(made) - len(rows),
        "most": len(every or ()) >= alert_records.MOST,
        "firing": [row for row in shown if row.alert.state == "firing"],
        "open": sum(_is_open(row) for row in shown),
        "rules": len(rules.rules),
        "tabs": tabs(visit, "history" if past else "active", None if past else len(made)),
        "csrf_token": csrf.token(visit.request) if may and not past else "",
    }


def _found(visit: Visit, past: bool) -> Sequence[SystemAlert]:
    if not past:
        return alert_records.active(visit.settings.database)
    when = visit.range
    return alert_records.history(
        visit.settings.database, when.since_ns // MS, -(-when.until_ns // MS)
    )


def _is_open(row: Row) -> bool:
    return row.alert.state == "firing" and not row.alert.acknowledged_by and row.quiet is None
