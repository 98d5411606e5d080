"""Alerts that are active, as the dashboard shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otel_django.errors import ReadError
from otel_django.viewer.board.figures import Figure, Subject, worst
from otel_django.web import alert_records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from otel_django.alerts.rules import Rule
    from otel_django.health.results import CheckReport
    from otel_django.models import SystemAlert
    from otel_django.viewer.board.figures import State

_PARTS: Final = {
    "performance/queries/": "database",
    "performance/cache/": "cache",
    "tasks/": "celery",
    "services/": "host",
    "endpoints/": "site",
    "traces/": "site",
    "errors/": "site",
}
"""Where rules lead → the part that they are about."""


@dataclass(frozen=True, slots=True)
class Active:
    """``since_ns`` is its first breach; ``acknowledged_by`` is empty where nobody has.

    ``part`` is the row it belongs to, empty for none but that of alerts.
    """

    fingerprint: str
    name: str
    severity: str
    message: str
    firing: bool
    since_ns: int
    acknowledged_by: str
    labels: Mapping[str, str]
    part: str

    @property
    def badness(self) -> State:
        """As checks say it."""
        return "unhealthy" if self.severity == "critical" else "degraded"


def active(database: str, rules: Mapping[str, Rule], notes: list[str]) -> tuple[Active, ...]:
    """Those that fire or are about to, the worst first; none and a note where nobody knows."""
    try:
        return tuple(_active(row, rules) for row in alert_records.active(database))
    except ReadError as error:
        notes.append(f"Alerts: {error}")
        return ()


def _active(row: SystemAlert, rules: Mapping[str, Rule]) -> Active:
    rule = rules.get(row.alert_type)
    page = rule.page.partition("?")[0] if rule else ""
    return Active(
        row.fingerprint,
        row.alert_type,
        row.severity,
        row.message,
        row.state == "firing",
        row.since_ms * 1_000_000,
        row.acknowledged_by,
        alert_records.labels_of(row),
        _PARTS.get(page, ""),
    )


def subject_of_alerts(alerts: Sequence[Active], checks: tuple[CheckReport, ...]) -> Subject:
    """The row of alerts, with the checks of the monitoring itself."""
    firing = [each for each in alerts if each.firing]
    counts = {
        "Critical": sum(each.severity == "critical" for each in firing),
        "Warning": sum(each.severity != "critical" for each in firing),
        "Not acknowledged": sum(not each.acknowledged_by for each in firing),
    }
    figures = tuple(
        Figure(title.lower().replace(" ", "_"), title, "", count, worse=1)
        for title, count in counts.items()
    )
    states: list[State] = [check.status for check in checks]
    ill = [check for check in checks if check.status in {"degraded", "unhealthy"}]
    why = firing[0].message or firing[0].name if firing else ""
    if not why and ill:
        why = f"{ill[0].name}: {ill[0].message or ill[0].status}"
    state = worst([*states, *(each.badness for each in firing), "healthy"])
    return Subject("alerts", "Alerts", state, figures, why=why, checks=checks)
