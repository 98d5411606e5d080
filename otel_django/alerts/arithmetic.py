"""Prometheus's functions over the samples of one series: increase, slope, quantile."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Final

_EXTRAPOLATED: Final = 1.1
"""A window's end that is nearer than this many usual distances belongs to the series."""


def increase(
    times_ms: Sequence[int], values: Sequence[float], since_ms: int, until_ms: int
) -> float | None:
    """How much a counter grew between two times, of which its samples cover a part.

    None with fewer than two samples. A value lower than the one before is a reset to 0.
    """
    if len(values) < 2:
        return None
    gain = values[-1] - values[0]
    gain += sum(before for before, after in pairwise(values) if after < before)
    covered_ms = times_ms[-1] - times_ms[0]
    usual_ms = covered_ms / (len(values) - 1)
    before_ms = _reach(times_ms[0] - since_ms, usual_ms)
    if gain > 0 and values[0] >= 0:
        before_ms = min(before_ms, covered_ms * (values[0] / gain))
    after_ms = _reach(until_ms - times_ms[-1], usual_ms)
    return gain * (covered_ms + before_ms + after_ms) / covered_ms


def _reach(distance_ms: float, usual_ms: float) -> float:
    return distance_ms if distance_ms < usual_ms * _EXTRAPOLATED else usual_ms / 2


def slope(times_ms: Sequence[int], values: Sequence[float]) -> float | None:
    """By how much a gauge rises a second, by least squares; None with fewer than two samples."""
    if len(values) < 2:
        return None
    if all(value == values[0] for value in values):
        return 0.0
    times_s = [(time_ms - times_ms[0]) / 1000 for time_ms in times_ms]
    mean_s, mean = sum(times_s) / len(times_s), sum(values) / len(values)
    above = sum((x - mean_s) * (y - mean) for x, y in zip(times_s, values, strict=True))
    return above / sum((x - mean_s) ** 2 for x in times_s)


def quantile(share: float, buckets: Sequence[tuple[float, float]]) -> float:
    """Of cumulative ``(upper bound, count)`` pairs, the last bound infinite; NaN without counts.

    Measurements lie evenly within a bucket, the first of which begins at 0.
    """
    if len(buckets) < 2 or buckets[-1][0] != math.inf:
        return math.nan
    bounds = [bound for bound, _ in buckets]
    counts = list(accumulate((count for _, count in buckets), max))
    if not counts[-1]:
        return math.nan
    rank = share * counts[-1]
    at = next(number for number, count in enumerate(counts) if count >= rank)
    if at == len(bounds) - 1:
        return bounds[-2]
    if at == 0 and bounds[0] <= 0:
        return bounds[0]
    low, before = (bounds[at - 1], counts[at - 1]) if at else (0.0, 0.0)
    return low + (bounds[at] - low) * ((rank - before) / (counts[at] - before))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


OVER: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "last": lambda values: values[-1],
    "avg": _mean,
    "max": max,
    "min": min,
}
COMBINE: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "sum": sum,
    "avg": _mean,
    "max": max,
    "min": min,
}
