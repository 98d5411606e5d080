"""Rates, levels and percentiles step by step, out of cumulative points.

Sums are over instances and over all attributes that aren't asked for. A step of which nothing is
known is None: gaps stay gaps. What was counted while nobody looked isn't shown as if it had
happened at once: a series that is met in the middle of its life, with nothing of its instance
before it, tells from its second point on, unless it says itself that it began within the range.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections import defaultdict
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from otel_django import names
from otel_django.contracts import MetricQuery
from otel_django.metric_points import NumberPoint
from otel_django.viewer.course import IDLE_NS, SECOND_NS, Course, Steps
from otel_django.viewer.ranges import MOST_STEPS
from otel_django.web.metric_sums import Spread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from otel_django.contracts import MetricInfo, MetricReader, MetricSeries
    from otel_django.metric_points import Exemplar
    from otel_django.viewer.ranges import TimeRange

MINUTE_NS: Final = 60 * SECOND_NS
LOOK_BACK_NS: Final = 2 * IDLE_NS
"""Far enough to know, as the range begins, which series an instance has."""
LEAST_SHARE: Final = 0.25
"""How much of the last step must be known for a rate of it."""
MAX_SERIES: Final = 300
"""Of more only the largest are read."""
MOST_POINTS: Final = 7_000
FEWEST_STEPS: Final = 28
"""Steps are longer where many series would have more points than that, but not beyond these."""
LOOKED_AT: Final = 50
"""Series with most points, which tell how far these lie apart."""

Values = list["float | None"]
Key = tuple[str, ...]


class Group:
    """The series of one set of attribute values, added up."""

    def __init__(self, reading: Reading, series: Sequence[MetricSeries]) -> None:
        self.series = series
        self._reading = reading
        self._steps = reading.steps

    def among(self, series: Sequence[MetricSeries]) -> Group:
        """Some of its series as one."""
        return Group(self._reading, series)

    # --- of sums and histograms

    @cached_property
    def counts(self) -> Values:
        """How much was added in each step: of a histogram, how many measurements."""
        found: Values = [None] * self._steps.count
        for course in self._courses:
            for number, amount in course.counts.items():
                found[number] = (found[number] or 0.0) + amount
        return found

    @cached_property
    def sums(self) -> Values:
        """A histogram's sum of measurements in each step; None where there were none."""
        return [None if spread is None else spread.total for spread in self._spreads]

    @cached_property
    def _courses(self) -> list[Course]:
        return [self._reading.course(one) for one in self.series]

    @property
    def rates(self) -> Values:
        """``counts`` a second."""
        lengths = self._reading.lengths_s
        return [
            None if count is None or not length else count / length
            for count, length in zip(self.counts, lengths, strict=True)
        ]

    @property
    def means(self) -> Values:
        """Of a histogram's measurements; None where there were none."""
        return [
            total / count if count and total is not None else None
            for total, count in zip(self.sums, self.counts, strict=True)
        ]

    def quantiles(self, *shares: float) -> list[Values]:
        """A histogram's, for each of ``shares``; None where nothing was measured."""
        rows = [spread.quantiles(*shares) if spread else None for spread in self._spreads]
        return [[row[index] if row else None for row in rows] for index in range(len(shares))]

    @cached_property
    def _spreads(self) -> list[Spread | None]:
        found: list[Spread | None] = [None] * self._steps.count
        rows: dict[tuple[float, ...], dict[int, list[list[float]]]] = {}
        for one, course in zip(self.series, self._courses, strict=True):
            by_step = rows.setdefault(one.bounds, defaultdict(list))
            for number, parts in course.parts.items():
                by_step[number].append(parts)
            for number, share, gain in course.exponential:
                spread = found[number] = found[number] or Spread()
                spread.add_share(gain, (), share)
        for bounds, by_step in rows.items():
            for number, parts_of_all in by_step.items():
                *counts, total = map(sum, zip(*parts_of_all, strict=True))
                spread = found[number] = found[number] or Spread()
                spread.add_counts(counts, bounds, total)
        return found

    @cached_property
    def spread(self) -> Spread:
        """All measurements of the range together."""
        whole = Spread()
        for each in self._spreads:
            if each is not None:
                whole.merge(each)
        return whole

    @property
    def total(self) -> float | None:
        """What was added in the whole range; None where nothing is known."""
        known = [count for count in self.counts if count is not None]
        return round(sum(known), 6) if known else None

    # --- of gauges and sums that go up and down

    def levels(self, how: str = "sum") -> Values:
        """What the values were at the end of each step; ``how`` is sum, mean, max or min."""
        combine = LEVELS[how]
        rows: list[list[float]] = [[] for _ in range(self._steps.count)]
        for one in self.series:
            for row, value in zip(rows, self._reading.carried(one), strict=True):
                if value is not None:
                    row.append(value)
        return [combine(row) if row else None for row in rows]

    # --- of all

    def exemplars(self) -> Iterator[Exemplar]:
        """Those of the range that name a trace."""
        since_ns, until_ns = self._steps.start_ns, self._steps.end_ns
        for one in self.series:
            for point in one.points:
                for exemplar in point.exemplars:
                    if exemplar.trace_id and since_ns <= exemplar.time_ns <= until_ns:
                        yield exemplar


class Reading:
    """One metric in a range, its series grouped by the values of ``by``'s attributes."""

    def __init__(
        self,
        info: MetricInfo | None,
        series: Sequence[MetricSeries],
        when: TimeRange,
        *,
        by: Sequence[str] = (),
        partial: str = "",
        steps: Steps | None = None,
    ) -> None:
        self.info = info
        self.series = series
        self.partial = partial
        self.by = tuple(by)
        self.steps = steps or Steps.of(when)
        self.until_ns = when.until_ns
        self._courses: dict[int, Course] = {}

    @cached_property
    def groups(self) -> dict[Key, Group]:
        """Values of ``by`` → group; an attribute that a series doesn't have is empty."""
        found: dict[Key, list[MetricSeries]] = defaultdict(list)
        for one in self.series:
            found[_key(one, self.by)].append(one)
        return {key: Group(self, found[key]) for key in sorted(found)}

    @cached_property
    def all(self) -> Group:
        """All series together."""
        return Group(self, self.series)

    def together(self, groups: Sequence[Group]) -> Group:
        """Some groups as one."""
        return Group(self, [one for group in groups for one in group.series])

    @cached_property
    def interval_ns(self) -> int:
        """How far apart the points of what changes are; a minute where they lie further."""
        told_most = sorted(self.series, key=lambda one: -len(one.points))[:LOOKED_AT]
        distances = [_distances(one) for one in told_most]
        busy = [statistics.median(each) for each in distances if len(each) > 2]
        told = busy or [min(each) for each in distances if each]
        return int(min([*told, MINUTE_NS]))

    @cached_property
    def lengths_s(self) -> list[float]:
        """How much of each step is known, in seconds; 0: too little to tell a rate.

        Only the last one can be under way.
        """
        step_ns = self.steps.step_ns
        lengths = [step_ns / SECOND_NS] * self.steps.count
        ends = [self.course(one).end_ns for one in self.series if one.points]
        end_ns = max(ends, default=self.steps.end_ns)
        last = self.steps.at(end_ns - 1)
        if 0 <= last < self.steps.count:
            known_ns = end_ns - self.steps.start_ns - last * step_ns
            lengths[last] = known_ns / SECOND_NS if known_ns >= LEAST_SHARE * step_ns else 0.0
        return lengths

    def course(self, one: MetricSeries) -> Course:
        """One of ``series``, step by step."""
        found = self._courses.get(id(one))
        if found is None:
            found = self._courses[id(one)] = Course(self, one)
        return found

    def first_seen(self, one: MetricSeries) -> int:
        """When anything was first heard of the series' instance."""
        return self._first_seen[one.service, one.instance]

    @cached_property
    def _first_seen(self) -> Mapping[tuple[str, str], int]:
        first: dict[tuple[str, str], int] = {}
        for one in self.series:
            if one.points:
                owner = (one.service, one.instance)
                time_ns = one.points[0].time_ns
                first[owner] = min(time_ns, first.get(owner, time_ns))
        return first

    def carried(self, one: MetricSeries) -> Values:
        """A series' value at the end of each step: it stays as it is until the next point."""
        steps = self.steps
        values: Values = [None] * steps.count
        points = [
            point
            for point in one.points
            if isinstance(point, NumberPoint) and math.isfinite(point.value)
        ]
        ends = [point.time_ns for point in points[1:]] + [self.until_ns]
        for point, end_ns in zip(points, ends, strict=False):
            first = max(0, steps.at(point.time_ns))
            last = steps.at(min(end_ns, point.time_ns + IDLE_NS) - 1)
            for number in range(first, min(max(first, last), steps.count - 1) + 1):
                values[number] = point.value
        return values


def read(
    reader: MetricReader,
    name: str,
    when: TimeRange,
    *,
    by: Sequence[str] = (),
    service: str | None = None,
    attributes: Mapping[str, Any] | None = None,
    most_steps: int = MOST_STEPS,
    most_series: int = MAX_SERIES,
) -> Reading:
    """One metric's series in a range, in no more steps than are wanted.

    Of very many series these are the largest; ``partial`` says so.
    """
    query = MetricQuery(
        name,
        when.since_ns - LOOK_BACK_NS,
        when.until_ns,
        service=service,
        attributes=attributes or {},
        max_series=most_series,
    )
    points_each = MOST_POINTS // max(1, min(reader.series_count(query), most_series))
    steps = Steps.of(when, when.step_of(min(most_steps, max(FEWEST_STEPS, points_each))))
    answer = reader.read(
        replace(
            query, since_ns=min(steps.start_ns, when.since_ns) - LOOK_BACK_NS, step_ns=steps.step_ns
        )
    )
    return Reading(answer.info, answer.series, when, by=by, partial=answer.partial, steps=steps)


def _key(one: MetricSeries, by: Sequence[str]) -> Key:
    if not by:
        return ()
    owner = {names.SERVICE_NAME: one.service, names.SERVICE_INSTANCE_ID: one.instance}
    attributes = {**owner, **dict(one.attributes)}
    return tuple(str(attributes.get(name, "")) for name in by)


def _distances(one: MetricSeries) -> list[int]:
    times = [point.time_ns for point in one.points]
    return [later - earlier for earlier, later in itertools.pairwise(times)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


LEVELS: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "sum": sum,
    "mean": _mean,
    "max": max,
    "min": min,
}
