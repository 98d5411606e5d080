"""Metrics that users defined in the admin, each as a card."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any, Final

from otel_django import guard
from otel_django.alerts.definitions import defined
from otel_django.alerts.errors import RuleError
from otel_django.clock import SYSTEM_CLOCK
from otel_django.errors import ReadError
from otel_django.viewer import alert_course, chart
from otel_django.viewer.board.figures import Figure, worst
from otel_django.viewer.board.kept import HOUR_NS
from otel_django.viewer.ranges import TimeRange
from otel_django.web import alert_rules
from otel_django.web.alert_records import tables
from otel_django.web.cached_answers import KeptAWhile

if TYPE_CHECKING:
    from otel_django.alerts.rules import Rule
    from otel_django.conf import Settings
    from otel_django.contracts import MetricReader
    from otel_django.models import CustomMetric
    from otel_django.viewer.board.figures import State
    from otel_django.viewer.readers import Readers

MOST: Final = 40
IN_A_CARD: Final = 4
KEPT_S: Final = 15.0
NOT_KEPT: Final = "Nothing is kept that it could be made of: OTEL_DJANGO_STORE=on"
NO_VALUE: Final = "There is nothing of this metric in the last hour"
BROKEN: Final = "It could not be made; the site's log says more"
_drawn: Final = KeptAWhile[object, "Card"](SYSTEM_CLOCK, KEPT_S)


@dataclass(frozen=True, slots=True)
class Card:
    """A figure for each set of labels, the largest first; of the first one the course of an hour.

    ``more`` is how many others there are, ``problem`` why there is none.
    """

    name: str
    title: str
    figures: tuple[Figure, ...] = ()
    course: list[float | None] = field(default_factory=list)
    problem: str = ""
    more: int = 0

    @property
    def spark(self) -> list[str]:
        """``course`` as it is drawn."""
        return chart.spark(self.course)

    @property
    def state(self) -> State:
        """The worst figure's."""
        return worst([each.state for each in self.figures])


def cards(
    settings: Settings, readers: Readers | None, now_ns: int, notes: list[str]
) -> tuple[Card, ...]:
    """Of all metrics that are switched on, by name."""
    from otel_django.models import CustomMetric

    try:
        with tables(settings.database):
            rows = CustomMetric._base_manager.using(settings.database).filter(enabled=True)
            found = list(rows.order_by("name")[:MOST])
    except ReadError as error:
        notes.append(f"Custom metrics: {error}")
        return ()
    if readers is None:
        return tuple(Card(row.name, str(row), problem=NOT_KEPT) for row in found)
    when = TimeRange(now_ns - HOUR_NS, now_ns, "")
    return tuple(_kept(row, readers.metrics, when, settings) for row in found)


def _kept(row: CustomMetric, reader: MetricReader, when: TimeRange, settings: Settings) -> Card:
    key = (settings, row.name, str(row), row.changed_at)
    return _drawn.get(key, lambda: _card(row, reader, when))


def _card(row: CustomMetric, reader: MetricReader, when: TimeRange) -> Card:
    name, title = row.name, str(row)
    try:
        rule = _rule(row)
        drawn = alert_course.course(reader, rule, rule.severities[0], when)
    except (RuleError, ReadError) as error:
        return Card(name, title, problem=str(error))
    except Exception:
        guard.caught("viewer.board.cards")
        return Card(name, title, problem=BROKEN)
    if drawn is None:
        return Card(name, title, problem=NO_VALUE)
    lines = sorted(drawn["series"], key=lambda line: -(line["points"][-1] or 0.0))
    figures = tuple(_figure(row, rule, line, drawn) for line in lines[:IN_A_CARD])
    return Card(name, title, figures, lines[0]["points"], more=len(lines) - len(figures))


def _rule(row: CustomMetric) -> Rule:
    """A rule needs a threshold: what has none gets one that nothing reaches."""
    from otel_django.alerts.keeping.rows import metric_of

    given = {**metric_of(row), "summary": "{value}"}
    if not alert_rules.has_threshold(row):
        given["warning"] = inf if row.operator.startswith(">") else -inf
    return defined(given)


def _figure(row: CustomMetric, rule: Rule, line: dict[str, Any], drawn: dict[str, Any]) -> Figure:
    """Thresholds of a chart are in its unit, as its points are."""
    value = line["points"][-1]
    state: State = "healthy"
    for severity, limit in zip(rule.severities, drawn["thresholds"], strict=True):
        turned = rule.with_thresholds({severity: limit["value"]})
        if value is not None and turned.breached(severity, value):
            state = "unhealthy" if severity == "critical" else "degraded"
    worse = 1 if row.operator.startswith(">") else -1
    before = line["points"][0]
    return Figure(row.name, line["name"], drawn["unit"], value, before, state, worse)
