"""Adding up one series of several processes, and taking off what was sent before.

Both points are of one kind and, for explicit histograms, of one set of bounds. The attributes and
the start of the first are kept.
"""

from __future__ import annotations

from bisect import bisect_left
from operator import add, sub
from typing import TYPE_CHECKING

from otel_django.metric_points import (
    Exemplar,
    ExponentialPoint,
    HistogramPoint,
    NumberPoint,
    Point,
)
from otel_django.metrics.exact import plus
from otel_django.metrics.exponential import MAX_EXEMPLARS, scale_change

if TYPE_CHECKING:
    from collections.abc import Callable


def newest(one: Point, other: Point) -> Point:
    """The one that was measured last."""
    return other if other.time_ns > one.time_ns else one


def added(one: Point, other: Point, bounds: tuple[float, ...] = ()) -> Point:
    """The sum; exemplars are the newest (of each bucket, for explicit ``bounds``)."""
    if isinstance(one, NumberPoint) and isinstance(other, NumberPoint):
        return NumberPoint(
            one.attributes,
            plus(one.value, other.value),
            one.start_ns,
            max(one.time_ns, other.time_ns),
            _last(one.exemplars + other.exemplars, 1),
        )
    if isinstance(one, HistogramPoint) and isinstance(other, HistogramPoint):
        return HistogramPoint(
            one.attributes,
            tuple(map(add, one.counts, other.counts)),
            plus(one.sum, other.sum),
            one.start_ns,
            max(one.time_ns, other.time_ns),
            _either(min, one.min, other.min),
            _either(max, one.max, other.max),
            _last_of_buckets(one.exemplars, other.exemplars, bounds),
        )
    if isinstance(one, ExponentialPoint) and isinstance(other, ExponentialPoint):
        return _exponential(one, other, add)
    return newest(one, other)


def taken_off(now: Point, before: Point) -> Point | None:
    """What came since ``before``, from its time on; None: it is no later state of that series.

    Minimum and maximum of the time between are unknown.
    """
    point: Point
    if isinstance(now, NumberPoint) and isinstance(before, NumberPoint):
        value = now.value - before.value
        point = NumberPoint(now.attributes, value, before.time_ns, now.time_ns, now.exemplars)
        return None if value < 0 else point
    if isinstance(now, HistogramPoint) and isinstance(before, HistogramPoint):
        counts = tuple(map(sub, now.counts, before.counts))
        point = HistogramPoint(
            now.attributes,
            counts,
            now.sum - before.sum,
            before.time_ns,
            now.time_ns,
            exemplars=now.exemplars,
        )
        same = len(now.counts) == len(before.counts)
        return point if same and min(counts, default=0) >= 0 else None
    if isinstance(now, ExponentialPoint) and isinstance(before, ExponentialPoint):
        left = _exponential(now, before, sub)
        return None if min((left.zero_count, *left.positive, *left.negative)) < 0 else left
    return None


def _either(
    choose: Callable[[float, float], float], one: float | None, other: float | None
) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return choose(one, other)


def _last(exemplars: tuple[Exemplar, ...], count: int) -> tuple[Exemplar, ...]:
    if len(exemplars) <= count:
        return exemplars
    return tuple(sorted(exemplars, key=lambda exemplar: exemplar.time_ns)[-count:])


def _last_of_buckets(
    one: tuple[Exemplar, ...], other: tuple[Exemplar, ...], bounds: tuple[float, ...]
) -> tuple[Exemplar, ...]:
    if not one or not other:
        return one or other
    kept: dict[int, Exemplar] = {}
    for exemplar in one + other:
        bucket = bisect_left(bounds, exemplar.value)
        if bucket not in kept or exemplar.time_ns > kept[bucket].time_ns:
            kept[bucket] = exemplar
    return tuple(kept[bucket] for bucket in sorted(kept))


def _exponential(
    one: ExponentialPoint, other: ExponentialPoint, combine: Callable[[int, int], int]
) -> ExponentialPoint:
    """``one`` and ``other`` at the finest scale that both have and that holds their buckets."""
    scale = min((point.scale for point in (one, other) if _has_buckets(point)), default=0)
    ranges = [_range(one, other, scale, side) for side in ("positive", "negative")]
    scale -= max((scale_change(low, high) for low, high in filter(None, ranges)), default=0)
    positive_offset, positive = _side(one, other, scale, "positive", combine)
    negative_offset, negative = _side(one, other, scale, "negative", combine)
    adding = combine is add
    return ExponentialPoint(
        one.attributes,
        scale,
        combine(one.zero_count, other.zero_count),
        positive_offset,
        positive,
        negative_offset,
        negative,
        plus(one.sum, other.sum) if adding else one.sum - other.sum,
        one.start_ns if adding else other.time_ns,
        max(one.time_ns, other.time_ns) if adding else one.time_ns,
        _either(min, one.min, other.min) if adding else None,
        _either(max, one.max, other.max) if adding else None,
        _last(one.exemplars + other.exemplars, MAX_EXEMPLARS) if adding else one.exemplars,
    )


def _has_buckets(point: ExponentialPoint) -> bool:
    return bool(point.positive or point.negative)


def _counts(point: ExponentialPoint, scale: int, side: str) -> dict[int, int]:
    offset: int = getattr(point, f"{side}_offset")
    change = point.scale - scale
    counts: dict[int, int] = {}
    for index, count in enumerate(getattr(point, side), offset):
        if count:
            counts[index >> change] = counts.get(index >> change, 0) + count
    return counts


def _range(
    one: ExponentialPoint, other: ExponentialPoint, scale: int, side: str
) -> tuple[int, int] | None:
    indexes = _counts(one, scale, side).keys() | _counts(other, scale, side).keys()
    return (min(indexes), max(indexes)) if indexes else None


def _side(
    one: ExponentialPoint,
    other: ExponentialPoint,
    scale: int,
    side: str,
    combine: Callable[[int, int], int],
) -> tuple[int, tuple[int, ...]]:
    mine, theirs = _counts(one, scale, side), _counts(other, scale, side)
    if not mine and not theirs:
        return 0, ()
    low, high = min([*mine, *theirs]), max([*mine, *theirs])
    return low, tuple(
        combine(mine.get(index, 0), theirs.get(index, 0)) for index in range(low, high + 1)
    )
