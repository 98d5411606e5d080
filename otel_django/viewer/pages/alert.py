"""One alert: what it found, what to do about it, who was told, who did what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.http import HttpResponseRedirect

from otel_django.alerts import promql
from otel_django.viewer.alert_course import can_be_drawn, course
from otel_django.viewer.alert_rows import AROUND_MS, MS, Row, tabs
from otel_django.viewer.alert_story import event_lines, notification_lines
from otel_django.viewer.page import Context, page
from otel_django.viewer.ranges import TimeRange
from otel_django.viewer.runbook import runbook
from otel_django.viewer.visit import Missing, NotDone
from otel_django.web import alert_decisions, alert_records, alertmanager_told, csrf
from otel_django.web.alert_decisions import ACKNOWLEDGE, RESOLVE, SILENCE, Decider, DecisionError
from otel_django.web.alert_rules import rules_of
from otel_django.web.permissions import has_permission, user_of

if TYPE_CHECKING:
    from django.http import HttpResponse

    from otel_django.models import SystemAlert
    from otel_django.viewer.visit import Visit

ACTIONS: Final = {"acknowledge": ACKNOWLEDGE, "silence": SILENCE, "resolve": RESOLVE}
MINUTES: Final = {30: "30 min", 60: "1 h", 240: "4 h", 1440: "1 day", 10080: "7 days"}
"""How long a silence can be, and the word for it."""


def decider(visit: Visit, permission: str) -> Decider:
    """Who is logged in, if that one has the permission.

    Raises:
        NotDone: not so.
    """
    if not has_permission(visit.request, permission):
        raise NotDone("You don't have the permission for that.", 403)
    by = str(user_of(visit.request).get_username())
    return Decider(visit.settings.database, by, visit.now_ns // MS)


def minutes_of(text: str) -> int:
    """A number of minutes as a form has it; 0 for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0


def _change(visit: Visit, fingerprint: str) -> HttpResponse:
    """Acknowledge it, silence it, or say that it is over; then its page again."""
    given = visit.request.POST
    action = given.get("action", "")
    if action not in ACTIONS:
        raise NotDone("An alert is acknowledged, silenced or resolved.")
    who = decider(visit, ACTIONS[action])
    found = _occurrences(visit, fingerprint)[:1]
    comment = given.get("note", "").strip()
    try:
        if action == "silence":
            minutes = minutes_of(given.get("minutes", ""))
            alert_decisions.silence_alert(who, found[0], minutes, comment)
        elif action == "resolve":
            _require(alert_decisions.resolve(who, found, comment))
        else:
            _require(alert_decisions.acknowledge(who, found, comment))
    except DecisionError as error:
        raise NotDone(str(error)) from error
    return HttpResponseRedirect(visit.url("alert", fingerprint))


def _require(changed: int) -> None:
    if not changed:
        raise NotDone("It is over by now.", 409)


@page("alert", "Alert", _change)
def alert(visit: Visit, fingerprint: str) -> Context:
    """The newest time it came; ``?since=`` another one."""
    times = _occurrences(visit, fingerprint)
    chosen = visit.text("since", 20)
    row = next((each for each in times if str(each.since_ms) == chosen), times[0])
    rule = rules_of(visit.settings).rules.get(row.alert_type)
    now_ms, database = visit.now_ns // MS, visit.settings.database
    ask = visit.parts.ask
    back = ask("silences", lambda: alert_records.held_back([row], database, now_ms)) or {}
    shown = Row(row, visit, rule, None if row.resolved else back.get(row.pk))
    may = _rights(visit) if row is times[0] and not row.resolved else {}
    return {
        "title": f"{row.alert_type}: {row.message}"[:200],
        "row": shown,
        "tabs": tabs(visit, ""),
        "newest": row is times[0],
        "times": [Row(each, visit, rule) for each in times if each is not row],
        "events": event_lines(
            ask("who did what", lambda: alert_records.events(database, fingerprint)) or ()
        ),
        "notifications": notification_lines(
            ask("notifications", lambda: alert_records.notifications(database, fingerprint)) or ()
        ),
        "may": may,
        "partial": _problem(visit, row),
        "csrf_token": csrf.token(visit.request) if any(may.values()) else "",
        "minutes": MINUTES.items(),
        "runbook": runbook(row.alert_type, lambda name: visit.url("rule", name), visit.base),
        **_drawn(visit, shown),
    }


def _problem(visit: Visit, row: SystemAlert) -> str:
    """Why what is decided of it doesn't get to who tells of it."""
    if row.resolved or row.source != "prometheus":
        return ""
    return alertmanager_told.look(visit.settings).problem


def _rights(visit: Visit) -> dict[str, bool]:
    return {name: has_permission(visit.request, wanted) for name, wanted in ACTIONS.items()}


def _occurrences(visit: Visit, fingerprint: str) -> list[SystemAlert]:
    found = alert_records.occurrences(visit.settings.database, fingerprint)
    if not found:
        raise Missing("No such alert is kept: it may have been archived, or never been.")
    return found


def _drawn(visit: Visit, row: Row) -> dict[str, Any]:
    """The rule's value around the alert, and what is asked for in PromQL."""
    rule, alert = row.rule, row.alert
    severity: Any = alert.severity
    if rule is None or severity not in rule.severities:
        return {}
    written = "" if rule.is_embedded_only else promql.promql(rule.expression_of(severity))
    if visit.found is None or not can_be_drawn(rule):
        return {"promql": written}
    metrics, only = visit.found.metrics, tuple(sorted(row.labels.items()))
    when = _around(visit, row)
    drawn = visit.parts.ask(
        "the course of its value",
        lambda: course(metrics, rule, severity, when, only),
    )
    return {"promql": written, "chart": drawn}


def _around(visit: Visit, row: Row) -> TimeRange:
    """What the address says, else from before it began until after it ended."""
    if {"range", "from"} & visit.parameters.keys():
        return visit.range
    alert = row.alert
    until_ms = visit.now_ns // MS
    if alert.resolved_ms is not None:
        until_ms = min(until_ms, alert.resolved_ms + AROUND_MS)
    return TimeRange((alert.since_ms - AROUND_MS) * MS, until_ms * MS, "")
