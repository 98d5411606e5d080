"""Histograms whose buckets follow the data: base-2 exponential, as the specification has them.

``base`` is ``2 ** (2 ** -scale)``; bucket ``i`` holds what is above ``base ** i`` up to the next
power. A scale is taken back as far as 160 buckets need it to hold the smallest and the largest.
"""

from __future__ import annotations

import sys
from itertools import zip_longest
from math import floor, frexp, inf, ldexp, log
from typing import TYPE_CHECKING, Final

from otel_django.metric_points import ExponentialPoint
from otel_django.metrics.cells import exemplars_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_django.metric_points import Attributes
    from otel_django.metrics.cells import HasContext, Recording, Taken

MAX_SIZE: Final = 160
MAX_SCALE: Final = 20
MAX_EXEMPLARS: Final = 20
_SMALLEST: Final = sys.float_info.min
_PER_LOG: Final = 1 / log(2)

Counts = dict[int, int]


def bucket_index(value: float, scale: int, per_log: float) -> int:
    """The bucket of a positive, finite ``value``; ``per_log`` is ``log2(e) * 2 ** scale``.

    Values below the smallest normal float share a bucket.
    """
    if value <= _SMALLEST:
        return (-1022 << scale) - 1 if scale > 0 else -1023 >> -scale
    fraction, exponent = frexp(value)
    exponent -= 1
    if scale <= 0:
        return (exponent - (fraction == 0.5)) >> -scale  # a power of two is its bucket's upper end
    if fraction == 0.5:
        return (exponent << scale) - 1
    return min(floor(log(value) * per_log), (1024 << scale) - 1)


class Buckets:
    """Counts at one scale, never changed to another: so who reads them finds them whole."""

    __slots__ = ("negative", "per_log", "positive", "scale")

    def __init__(self, scale: int, positive: Counts, negative: Counts) -> None:
        self.scale = scale
        self.per_log = ldexp(_PER_LOG, scale)
        self.positive = positive
        self.negative = negative

    def coarser(self, change: int) -> Buckets:
        """The same with buckets ``2 ** change`` as wide."""
        if not change:
            return self
        return Buckets(
            self.scale - change, _shifted(self.positive, change), _shifted(self.negative, change)
        )

    def copy(self) -> Buckets:
        """Of its own."""
        return Buckets(self.scale, self.positive.copy(), self.negative.copy())

    def too_fine_by(self) -> int:
        """How far the scale has to be taken back for both sides to fit."""
        return max(_excess(self.positive), _excess(self.negative))


def _shifted(counts: Counts, change: int) -> Counts:
    shifted: Counts = {}
    for index, count in counts.items():
        shifted[index >> change] = shifted.get(index >> change, 0) + count
    return shifted


def _excess(counts: Counts) -> int:
    return scale_change(min(counts), max(counts)) if counts else 0


def scale_change(low: int, high: int) -> int:
    """How far the scale has to be taken back for these to be less than 160 buckets apart."""
    change = 0
    while (high >> change) - (low >> change) >= MAX_SIZE:
        change += 1
    return change


def merged(one: Buckets, other: Buckets) -> Buckets:
    """The counts of both, at the finest scale that holds them."""
    scale = min(one.scale, other.scale)
    sum_ = one.copy().coarser(one.scale - scale)
    added = other.copy().coarser(other.scale - scale)
    for counts, more in ((sum_.positive, added.positive), (sum_.negative, added.negative)):
        for index, count in more.items():
            counts[index] = counts.get(index, 0) + count
    return sum_.coarser(sum_.too_fine_by())


class ExponentialCell:
    """A histogram that needs no bounds."""

    __slots__ = (
        "_buckets", "_exemplars", "_max", "_min", "_recording", "_sum", "_zeros", "changed",
    )  # fmt: skip

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._buckets = Buckets(MAX_SCALE, {}, {})
        self._zeros = 0
        self._sum = 0.0
        self._min = inf
        self._max = -inf
        self._exemplars: dict[int, Taken] = {}
        self.changed = True

    def record(self, value: float, span: HasContext | None = None) -> None:
        """Take a measurement; ``span`` is where, for the exemplar."""
        self._sum += value
        if not self._min <= value <= self._max:
            self._widen(value)
        if value == 0:
            self._zeros += 1
        else:
            self._count(value)
        recording = self._recording
        if span is not None or recording.always:
            taken = recording.taken(value, span)
            if taken is not None:
                self._exemplars[taken[0] % MAX_EXEMPLARS] = taken
        self.changed = True
        if recording.quiet:
            recording.rouse()

    def record_all(self, values: Sequence[float], spans: Sequence[HasContext | None]) -> None:
        """Take several measurements; ``spans`` is as long, or empty."""
        for value, span in zip_longest(values, spans):
            self.record(value, span)

    def _count(self, value: float) -> None:
        buckets = self._buckets
        counts = buckets.positive if value > 0 else buckets.negative
        index = bucket_index(abs(value), buckets.scale, buckets.per_log)
        if index in counts:
            counts[index] += 1
            return
        if counts:
            change = scale_change(min(index, *counts), max(index, *counts))
            if change:
                self._buckets = buckets = buckets.coarser(change)
                counts = buckets.positive if value > 0 else buckets.negative
                index = bucket_index(abs(value), buckets.scale, buckets.per_log)
        counts[index] = counts.get(index, 0) + 1

    def _widen(self, value: float) -> None:
        self._min = min(self._min, value)
        self._max = max(self._max, value)

    def absorb(self, other: ExponentialCell) -> None:
        """Add what another thread measured."""
        self._buckets = merged(self._buckets, other._buckets)
        self._zeros += other._zeros
        self._sum += other._sum
        self._min = min(self._min, other._min)
        self._max = max(self._max, other._max)
        self._exemplars.update(other._exemplars.copy())
        self.changed = True

    def point(self, attributes: Attributes, start_ns: int, time_ns: int) -> ExponentialPoint:
        """All that was measured so far."""
        zeros = self._zeros
        buckets = self._buckets.copy()
        measured = bool(zeros or buckets.positive or buckets.negative)
        positive_offset, positive = _dense(buckets.positive)
        negative_offset, negative = _dense(buckets.negative)
        return ExponentialPoint(
            attributes,
            buckets.scale if positive or negative else 0,
            zeros,
            positive_offset,
            positive,
            negative_offset,
            negative,
            float(self._sum),
            start_ns,
            time_ns,
            self._min if measured else None,
            self._max if measured else None,
            exemplars_of(self._exemplars.copy().values()),
        )


def _dense(counts: Counts) -> tuple[int, tuple[int, ...]]:
    """The first index, and the counts from there to the last."""
    if not counts:
        return 0, ()
    low, high = min(counts), max(counts)
    return low, tuple(counts.get(index, 0) for index in range(low, high + 1))
