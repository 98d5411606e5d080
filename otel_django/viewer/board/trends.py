"""How a part was: the courses of its figures from what is kept, and from ``HealthMetric``."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Final

from django.conf import settings as site

from otel_django.viewer import chart, units
from otel_django.viewer.board.parts import figure_name
from otel_django.viewer.course import SECOND_NS, Steps
from otel_django.web.alert_records import tables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from otel_django.viewer.board.kept import Kept
    from otel_django.viewer.board.parts import Part
    from otel_django.viewer.parts import Parts
    from otel_django.viewer.ranges import TimeRange
    from otel_django.viewer.series import Values

MOST_STEPS: Final = 120
HOUR_NS: Final = 3600 * SECOND_NS
MOST_ROWS: Final = 60_000
CHARTS: Final = 6
LATE: Final = 0.1
"""A trend that begins no later than that much of the range is told to be of all of it."""
SNAPSHOT_NS: Final = 60 * SECOND_NS
"""How often snapshots are taken, unless METRICS_COLLECTION_INTERVAL says otherwise."""


@dataclass(frozen=True, slots=True)
class Trend:
    """One figure in a range, step by step."""

    name: str
    title: str
    unit: str
    steps: Steps
    values: Values
    is_state: bool = False
    thresholds: list[dict[str, object]] = field(default_factory=list)

    @property
    def first(self) -> int:
        """The number of the first step of which anything is known."""
        return next(number for number, value in enumerate(self.values) if value is not None)

    @property
    def late_ns(self) -> int:
        """Where it begins, if that is well within the range; else 0."""
        is_late = self.first > self.steps.count * LATE
        return self.steps.start_ns + self.first * self.steps.step_ns if is_late else 0

    @property
    def drawn(self) -> dict[str, object]:
        """For ``charts.js``."""
        made = chart.chart(self.unit, self.steps.times_s, [chart.Line(self.title, self.values)])
        return {**made, "thresholds": self.thresholds}

    @property
    def rows(self) -> list[tuple[int, str]]:
        """The newest first, with what was there in words."""
        at = enumerate(self.values)
        known = [(number, value) for number, value in at if value is not None]
        told = units.alike([value for _, value in known], self.unit)
        starts = [self.steps.start_ns + number * self.steps.step_ns for number, _ in known]
        return list(zip(starts, told, strict=True))[::-1]


def of_store(part: Part, kept: Kept, when: TimeRange, parts: Parts) -> list[Trend]:
    """Of the figures there is anything of."""
    found = []
    for measure in part.measures[:CHARTS]:
        steps, values = parts.ask(measure.title, partial(kept.course, measure, when)) or (None, [])
        if steps is not None and any(value is not None for value in values):
            name = figure_name(part, measure)
            found.append(Trend(name, measure.title, measure.unit, steps, values))
    return found


def titles(part: Part) -> dict[str, tuple[str, str]]:
    """Of its figures among ``HealthMetric``: name → title and unit."""
    return {
        figure_name(part, measure): (measure.title, measure.unit)
        for measure in part.measures[:CHARTS]
    }


def of_snapshots(
    wanted: Mapping[str, tuple[str, str]], when: TimeRange, database: str, parts: Parts
) -> list[Trend]:
    """Of rows of ``HealthMetric``, by name with title and unit.

    Of checks it is the worst of each step, of others the mean.
    """
    step_ns = max(when.step_of(MOST_STEPS), SNAPSHOT_NS)
    steps = Steps.of(when, step_ns)
    rows: dict[str, list[list[float]]] = defaultdict(lambda: [[] for _ in range(steps.count)])
    for name, value, at_ns, length_ns in (
        parts.ask("how it was", lambda: _snapshots(list(wanted), when, database)) or ()
    ):
        for number in _touched(steps, at_ns, length_ns):
            rows[name][number].append(value)
    found = []
    for name, (title, unit) in wanted.items():
        is_state = name.startswith("check.")
        how: Callable[[list[float]], float] = min if is_state else statistics.fmean
        values: Values = [how(row) if row else None for row in rows[name]]
        if any(value is not None for value in values):
            found.append(Trend(name, title, unit, steps, values, is_state))
    return found


def together(found: Sequence[Trend]) -> list[Trend]:
    """Of those of the same name the one that goes back further."""
    furthest: dict[str, Trend] = {}
    for trend in found:
        known = furthest.get(trend.name)
        if known is None or _begins_ns(trend) < _begins_ns(known):
            furthest[trend.name] = trend
    return list(furthest.values())


def _begins_ns(trend: Trend) -> int:
    """To within a step of either."""
    return trend.steps.start_ns + (trend.first + 1) * trend.steps.step_ns


def _touched(steps: Steps, at_ns: int, length_ns: int) -> range:
    """The steps that a row tells of: of an hour's row all of that hour."""
    first, last = steps.at(at_ns), steps.at(at_ns + max(length_ns, 1) - 1)
    return range(max(0, first), min(last, steps.count - 1) + 1)


def _snapshots(
    names: Sequence[str], when: TimeRange, database: str
) -> list[tuple[str, float, int, int]]:
    """Name, value, when, and how long that is so.

    Raises:
        ReadError: the table can't be used.
    """
    from otel_django.models import HealthMetric

    with tables(database):
        rows = HealthMetric._base_manager.using(database).filter(
            metric_name__in=names,
            timestamp__gte=_moment(when.since_ns - HOUR_NS),
            timestamp__lte=_moment(when.until_ns),
        )
        wanted = rows.order_by("-timestamp").values_list(
            "metric_name", "metric_value", "timestamp", "hourly"
        )
        found = list(wanted[:MOST_ROWS])
    return [
        (name, float(value["value"]), int(at.timestamp() * 1e9), HOUR_NS if hourly else SNAPSHOT_NS)
        for name, value, at, hourly in found
        if isinstance(value, dict) and isinstance(value.get("value"), (int, float))
    ]


def _moment(time_ns: int) -> datetime:
    at = datetime.fromtimestamp(time_ns / 1e9, timezone.utc)
    return at if site.USE_TZ else at.astimezone().replace(tzinfo=None)
