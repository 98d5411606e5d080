"""Rates, levels and percentiles step by step, out of cumulative points.

Sums are over instances and over all attributes that aren't asked for. A step of which nothing is
known is None: gaps stay gaps. What was counted while nobody looked isn't shown as if it had
happened at once: a series that is met in the middle of its life, with nothing of its instance
before it, tells from its second point on.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from otel_django import names
from otel_django.contracts import MetricQuery
from otel_django.metric_points import ExponentialPoint, HistogramPoint, NumberPoint
from otel_django.metrics.merging import taken_off
from otel_django.web.metric_sums import Spread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from otel_django.contracts import MetricInfo, MetricReader, MetricSeries
    from otel_django.metric_points import Exemplar, Point
    from otel_django.viewer.ranges import TimeRange

SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
IDLE_NS: Final = 360 * SECOND_NS
"""A series that stays as it is has a point every five minutes; one without for longer has ended."""
LEAST_SHARE: Final = 0.25
"""How much of the last step must be known for a rate of it."""
MAX_SERIES: Final = 2000

DISTRIBUTIONS: Final = (HistogramPoint, ExponentialPoint)
Values = list["float | None"]
Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Steps:
    """``count`` steps of ``step_ns`` from ``start_ns`` on, which is a multiple of it."""

    start_ns: int
    step_ns: int
    count: int

    @classmethod
    def of(cls, when: TimeRange, step_ns: int = 0) -> Steps:
        """Those that the range touches."""
        step_ns = step_ns or when.step_ns
        first = when.since_ns // step_ns
        return cls(first * step_ns, step_ns, max(1, -(-when.until_ns // step_ns) - first))

    @property
    def end_ns(self) -> int:
        """Where the last one ends."""
        return self.start_ns + self.count * self.step_ns

    @property
    def times_s(self) -> list[float]:
        """Where each begins, for charts."""
        return [(self.start_ns + number * self.step_ns) / SECOND_NS for number in range(self.count)]

    def at(self, time_ns: int) -> int:
        """The number of the step that a time is in; it may be outside."""
        return (time_ns - self.start_ns) // self.step_ns

    def shares(self, low_ns: int, high_ns: int) -> list[tuple[int, float]]:
        """The steps that ``(low, high]`` lies in, with the share of it in each."""
        first, last = self.at(low_ns), self.at(high_ns - 1)
        if first >= last:
            return [(last, 1.0)] if 0 <= last < self.count else []
        length_ns = high_ns - low_ns
        found = []
        for number in range(max(0, first), min(self.count - 1, last) + 1):
            begin_ns = self.start_ns + number * self.step_ns
            within_ns = min(high_ns, begin_ns + self.step_ns) - max(low_ns, begin_ns)
            found.append((number, within_ns / length_ns))
        return found


class Course:
    """What one series says of each step.

    ``gains`` are what it gained: a step, the share that fell into it, and a point of the whole
    gain. ``known`` are the steps of which it tells anything, ``end_ns`` up to when it does.
    """

    __slots__ = ("_reading", "end_ns", "gains", "known")

    def __init__(self, reading: Reading, one: MetricSeries) -> None:
        self._reading = reading
        self.gains: list[tuple[int, float, Point]] = []
        self.known: set[int] = set()
        self.end_ns = 0
        before: Point | None = None
        for point in one.points:
            self._take(one, before, point)
            before = point
        if before is not None:
            self._end(before)

    def _take(self, one: MetricSeries, before: Point | None, point: Point) -> None:
        reading, time_ns = self._reading, point.time_ns
        begin_ns = max(time_ns - reading.interval_ns, point.start_ns)
        adjoin = before is not None and reading.adjoin(before, point)
        if before is not None and adjoin:
            begin_ns = max(begin_ns, before.time_ns)
            self._know(before.time_ns, time_ns)
        else:
            self._know(begin_ns, time_ns)
        change = self._change(one, before if adjoin else None, point, is_first=before is None)
        if change is not None and _size(change):
            for number, share in reading.steps.shares(min(begin_ns, time_ns), time_ns):
                self.gains.append((number, share, change))

    def _change(
        self, one: MetricSeries, before: Point | None, point: Point, *, is_first: bool
    ) -> Point | None:
        """What was gained since the point that adjoins; None where that can't be known."""
        if before is not None:
            same_sum = before.start_ns == point.start_ns
            return (taken_off(point, before) if same_sum else None) or point
        if point.start_ns >= point.time_ns - IDLE_NS:
            return point
        reading = self._reading
        is_new = is_first and point.time_ns > reading.first_seen(one) + reading.interval_ns
        return point if is_new else None

    def _end(self, last: Point) -> None:
        """It may only not have been written yet; after two intervals it is known to stay."""
        until_ns = self._reading.until_ns - 2 * self._reading.interval_ns
        self._know(last.time_ns, min(last.time_ns + IDLE_NS, until_ns))

    def _know(self, low_ns: int, high_ns: int) -> None:
        if high_ns >= low_ns:
            at = self._reading.steps.at
            first = at(low_ns)
            self.known.update(range(first, max(first, at(high_ns - 1)) + 1))
            self.end_ns = max(self.end_ns, high_ns)


class Group:
    """The series of one set of attribute values, added up."""

    def __init__(self, reading: Reading, series: Sequence[MetricSeries]) -> None:
        self.series = series
        self._reading = reading
        self._steps = reading.steps

    # --- of sums and histograms

    @cached_property
    def counts(self) -> Values:
        """How much was added in each step: of a histogram, how many measurements."""
        return self._per_step(_size)

    @cached_property
    def sums(self) -> Values:
        """A histogram's sum of measurements in each step."""
        return self._per_step(lambda change: getattr(change, "sum", 0.0))

    def _per_step(self, size: Callable[[Point], float]) -> Values:
        found: Values = [None] * self._steps.count
        for one in self.series:
            course = self._reading.course(one)
            for number in course.known:
                if 0 <= number < len(found):
                    found[number] = found[number] or 0.0
            for number, share, change in course.gains:
                found[number] = (found[number] or 0.0) + size(change) * share
        return found

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
        for one in self.series:
            for number, share, change in self._reading.course(one).gains:
                spread = found[number] = found[number] or Spread()
                spread.add_share(change, one.bounds, share)
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
        distances = [_distances(one) for one in self.series]
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

    def adjoin(self, before: Point, point: Point) -> bool:
        """Whether nothing is missing between two points of a series."""
        if point.time_ns - before.time_ns <= IDLE_NS:
            return True
        return self.steps.at(point.time_ns) - self.steps.at(before.time_ns) <= 1

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
    step_ns: int = 0,
) -> Reading:
    """One metric's series in a range; ``step_ns`` instead of the range's own."""
    steps = Steps.of(when, step_ns)
    answer = reader.read(
        MetricQuery(
            name,
            min(steps.start_ns, when.since_ns) - IDLE_NS,
            when.until_ns,
            step_ns=steps.step_ns,
            service=service,
            attributes=attributes or {},
            max_series=MAX_SERIES,
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


def _size(change: Point) -> float:
    if isinstance(change, DISTRIBUTIONS):
        return change.count
    return change.value if math.isfinite(change.value) else 0.0


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


LEVELS: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "sum": sum,
    "mean": _mean,
    "max": max,
    "min": min,
}
