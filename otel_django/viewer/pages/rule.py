"""One rule: its value over the range, its thresholds, its runbook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_django.alerts import promql
from otel_django.viewer.alert_course import can_be_drawn, course
from otel_django.viewer.alert_rows import tabs
from otel_django.viewer.alert_story import event_lines
from otel_django.viewer.page import Context, page
from otel_django.viewer.pages.rules import RuleRow, alert_rows
from otel_django.viewer.runbook import runbook
from otel_django.viewer.visit import Missing
from otel_django.web import alert_records
from otel_django.web.alert_rules import rules_of

if TYPE_CHECKING:
    from otel_django.alerts.rules import Rule
    from otel_django.viewer.visit import Visit


@page("rule", "Alert rule")
def rule(visit: Visit, name: str) -> Context:
    """By its name."""
    found = rules_of(visit.settings)
    one = found.rules.get(name)
    if one is None:
        raise Missing("There is no such rule.")
    alerts = alert_rows(visit, one)
    database = visit.settings.database
    return {
        "title": name,
        "tabs": tabs(visit, "rules"),
        "row": RuleRow(one, found, [each.alert for each in alerts]),
        "alerts": alerts,
        "events": event_lines(
            visit.parts.ask(
                "who did what", lambda: alert_records.events(database, rule=name, limit=20)
            )
            or ()
        ),
        "queries": _queries(one),
        "chart": _drawn(visit, one),
        "can_be_drawn": visit.found is not None and can_be_drawn(one),
        "runbook": runbook(name, lambda other: visit.url("rule", other), visit.base),
    }


def _queries(rule: Rule) -> list[str]:
    if rule.is_embedded_only:
        return []
    texts = (promql.promql(rule.expression_of(severity)) for severity in rule.severities)
    return list(dict.fromkeys(texts))


def _drawn(visit: Visit, rule: Rule) -> dict[str, Any] | None:
    if visit.found is None or not can_be_drawn(rule):
        return None
    metrics = visit.found.metrics
    return visit.parts.ask(
        "the course of its value",
        lambda: course(metrics, rule, rule.severities[-1], visit.range),
    )
