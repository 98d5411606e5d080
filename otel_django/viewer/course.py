"""What one series gained in each step, out of its cumulative points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import add, sub
from typing import TYPE_CHECKING, Final, TypeAlias

from otel_django.metric_points import ExponentialPoint, HistogramPoint, NumberPoint
from otel_django.metrics.merging import taken_off

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_django.contracts import MetricSeries
    from otel_django.metric_points import Point
    from otel_django.viewer.ranges import TimeRange
    from otel_django.viewer.series import Reading

SECOND_NS: Final = 1_000_000_000
IDLE_NS: Final = 360 * SECOND_NS
"""A series that stays as it is has a point every five minutes; one without for longer has ended."""
Gain: TypeAlias = "tuple[float, list[float] | ExponentialPoint | None]"
"""How much was added; of a histogram with bounds its counts with the sum of measurements behind."""
NOTHING: Final[Gain] = (0.0, None)


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
        last = (high_ns - 1 - self.start_ns) // self.step_ns
        first = (low_ns - self.start_ns) // self.step_ns
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

    ``counts`` has the steps of which it tells anything, with how much was added in each. ``parts``
    are a histogram's counts by bucket with its sum behind them, ``exponential`` what an exponential
    one gained: a step, the share that fell into it, and a point of the whole gain. ``begin_ns`` and
    ``end_ns`` are from when and up to when it tells.
    """

    __slots__ = ("_reading", "begin_ns", "counts", "end_ns", "exponential", "parts")

    def __init__(self, reading: Reading, one: MetricSeries) -> None:
        self._reading = reading
        self.counts: dict[int, float] = {}
        self.parts: dict[int, list[float]] = {}
        self.exponential: list[tuple[int, float, ExponentialPoint]] = []
        self.begin_ns = 0
        self.end_ns = 0
        self._follow(one)
        if one.points:
            self._end(one.points[-1])

    def _follow(self, one: MetricSeries) -> None:
        """Point by point; there are very many, so nothing is called for that can be said here."""
        reading, steps = self._reading, self._reading.steps
        interval_ns, origin_ns, step_ns = reading.interval_ns, steps.start_ns, steps.step_ns
        before: Point | None = None
        before_ns = before_at = 0
        others: dict[int, Point] = {}
        for point in one.points:
            time_ns = point.time_ns
            at = (time_ns - origin_ns) // step_ns
            begin_ns = max(time_ns - interval_ns, point.start_ns)
            if before is not None and (time_ns - before_ns <= IDLE_NS or at - before_at <= 1):
                self._know(before_ns, time_ns)
                begin_ns = max(begin_ns, before_ns)
                if before.start_ns == point.start_ns:
                    gain = gained(before, point)
                else:
                    others[before.start_ns] = before
                    gain = _begun(others.get(point.start_ns), before_ns, point)
            else:
                gain = NOTHING
                if self._all_is_of_the_range(point, before):
                    if point.start_ns < time_ns - IDLE_NS:
                        begin_ns = point.start_ns
                    gain = gained(None, point)
                elif before is None and self._is_new(one, time_ns):
                    gain = gained(None, point)
                self._know(begin_ns, time_ns)
            if gain[0]:
                self._add(begin_ns, time_ns, gain)
            before, before_ns, before_at = point, time_ns, at

    def _add(self, begin_ns: int, time_ns: int, gain: Gain) -> None:
        size, parts = gain
        counts = self.counts
        for number, share in self._reading.steps.shares(begin_ns, time_ns):
            counts[number] = counts.get(number, 0.0) + size * share
            if parts is None:
                continue
            if isinstance(parts, ExponentialPoint):
                self.exponential.append((number, share, parts))
                continue
            row = parts if share == 1 else [each * share for each in parts]
            known = self.parts.get(number)
            self.parts[number] = row if known is None else list(map(add, known, row))

    def _all_is_of_the_range(self, point: Point, before: Point | None) -> bool:
        """Whether what a point counts, which none adjoins, began in the range, or just before it.

        Points of long ranges lie far apart, so that the first one of a process has much to tell.
        """
        since_ns = self._reading.steps.start_ns if before is None else before.time_ns
        return point.start_ns >= min(since_ns, point.time_ns - IDLE_NS)

    def _is_new(self, one: MetricSeries, time_ns: int) -> bool:
        """Whether its instance has told long enough that the series would have been heard of."""
        return time_ns > self._reading.first_seen(one) + IDLE_NS

    def _end(self, last: Point) -> None:
        """It may only not have been written yet; after two intervals it is known to stay."""
        until_ns = self._reading.until_ns - 2 * self._reading.interval_ns
        self._know(last.time_ns, min(last.time_ns + IDLE_NS, until_ns))

    def _know(self, low_ns: int, high_ns: int) -> None:
        if high_ns < low_ns:
            return
        steps, counts = self._reading.steps, self.counts
        first = (low_ns - steps.start_ns) // steps.step_ns
        last = (high_ns - 1 - steps.start_ns) // steps.step_ns
        number, last = max(first, 0), min(max(first, last), steps.count - 1)
        while number <= last:
            if number not in counts:
                counts[number] = 0.0
            number += 1
        self.begin_ns = min(self.begin_ns or low_ns, low_ns)
        self.end_ns = max(self.end_ns, high_ns)


def _begun(known: Point | None, before_ns: int, point: Point) -> Gain:
    """What a point with another start than the one before it has gained.

    Where that start was long before, the sum didn't begin anew: two processes that don't say which
    they are tell by turns. ``known`` is what this one has told last.
    """
    if known is None and point.start_ns < before_ns - IDLE_NS:
        return NOTHING
    return gained(known, point)


def gained(before: Point | None, point: Point) -> Gain:
    """What came since ``before``: all of a point where that is None, or no earlier state of it."""
    if isinstance(point, NumberPoint):
        value: float = point.value
        if isinstance(before, NumberPoint) and not value < before.value:
            value -= before.value
        return (value if math.isfinite(value) else 0.0), None
    if isinstance(point, HistogramPoint):
        counts: Sequence[float] = point.counts
        if isinstance(before, HistogramPoint) and len(before.counts) == len(counts):
            left = list(map(sub, counts, before.counts))
            if not left or min(left) >= 0:
                return sum(left), [*left, point.sum - before.sum]
        return sum(counts), [*counts, point.sum]
    change = before and taken_off(point, before)
    whole = change if isinstance(change, ExponentialPoint) else point
    return whole.count, whole
