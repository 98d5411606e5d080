"""Totals and percentiles of the host's sums, as people ask for them."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from otel_django.metric_points import ExponentialPoint, HistogramPoint, NumberPoint
from otel_django.metrics import active

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from otel_django.metric_points import Metric, MetricDefinition, Point, ResourceMetrics

_Row: TypeAlias = "tuple[tuple[float, float], float]"
"""Both ends of a bucket, and how many measurements are in it."""


class Durations(TypedDict):
    """How long something took, in milliseconds; percentiles are read off the buckets."""

    count: int
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


class Sums:
    """What the processes of this host have measured; of a gauge, what was measured last."""

    def __init__(self, data: Iterable[ResourceMetrics]) -> None:
        self._metrics: dict[str, list[Metric]] = defaultdict(list)
        for resource in data:
            for metric in resource.metrics:
                self._metrics[metric.name].append(metric)

    def points(self, of: MetricDefinition) -> Iterator[tuple[dict[str, Any], Point, Metric]]:
        """Each point with its attributes."""
        for metric in self._metrics.get(of.name, ()):
            for point in metric.points:
                yield dict(point.attributes), point, metric

    def values(self, of: MetricDefinition) -> Iterator[tuple[dict[str, Any], float]]:
        """Of a counter or gauge: its values with their attributes."""
        for attributes, point, _ in self.points(of):
            if isinstance(point, NumberPoint):
                yield attributes, point.value

    def total(self, of: MetricDefinition) -> float | None:
        """The sum of all values; None where nothing was measured."""
        values = [value for _, value in self.values(of)]
        return sum(values) if values else None

    def by(self, of: MetricDefinition, key: str) -> dict[str, float]:
        """Sums by one attribute."""
        found: dict[str, float] = defaultdict(float)
        for attributes, value in self.values(of):
            found[str(attributes.get(key, ""))] += value
        return dict(sorted(found.items()))

    def spread(self, of: MetricDefinition) -> Spread:
        """All of a histogram's points together."""
        spread = Spread()
        for _, point, metric in self.points(of):
            spread.add(point, metric)
        return spread


class Spread:
    """Durations by bucket: several histograms of seconds added up."""

    def __init__(self) -> None:
        self._counts: dict[tuple[float, float], float] = defaultdict(int)
        self._sum_s = 0.0

    def add(self, point: Point, metric: Metric) -> None:
        """Add a histogram's point; those of other kinds count for nothing."""
        self.add_share(point, metric.bounds)

    def add_share(self, point: Point, bounds: Sequence[float], share: float = 1) -> None:
        """Add a part of a histogram's point, in whatever unit it has."""
        if isinstance(point, HistogramPoint):
            self.add_counts([count * share for count in point.counts], bounds, point.sum * share)
        elif isinstance(point, ExponentialPoint):
            if point.zero_count:
                self._counts[0.0, 0.0] += point.zero_count * share
            for number, count in enumerate(point.positive, point.positive_offset):
                if count:
                    low, high = _edges(point.scale, number)
                    self._counts[low, high] += count * share
            for number, count in enumerate(point.negative, point.negative_offset):
                if count:
                    low, high = _edges(point.scale, number)
                    self._counts[-high, -low] += count * share
            self._sum_s += point.sum * share

    def add_counts(self, counts: Sequence[float], bounds: Sequence[float], total: float) -> None:
        """Add measurements by bucket, which together come to ``total``."""
        edges = (min(0.0, *bounds[:1]), *bounds, math.inf)
        for low, high, count in zip(edges, edges[1:], counts, strict=False):
            if count:
                self._counts[low, high] += count
        self._sum_s += total

    def merge(self, other: Spread) -> None:
        """Add all of another one."""
        for edges, count in other._counts.items():
            self._counts[edges] += count
        self._sum_s += other._sum_s

    @property
    def count(self) -> float:
        """How many measurements."""
        return sum(self._counts.values())

    @property
    def total(self) -> float:
        """The sum of the measurements."""
        return self._sum_s

    @property
    def mean(self) -> float:
        """Of the measurements; there must be any."""
        return self._sum_s / self.count

    def quantiles(self, *shares: float) -> list[float]:
        """For each share: where so many of all lie below, evenly spread within a bucket.

        In the unit of the histograms; 0.0 for none at all. Of what lies above the last bound only
        that is known: the bound.
        """
        rows = sorted(self._counts.items())
        if any(later[0] < earlier[1] for (earlier, _), (later, _) in pairwise(rows)):
            rows = _divided(rows)
        total = self.count
        return [_quantile(rows, share * total) for share in shares]

    def quantile_s(self, share: float) -> float:
        """Of seconds: the one of ``quantiles``."""
        return self.quantiles(share)[0]

    def durations(self) -> Durations | None:
        """As it is shown; None for none at all."""
        count = round(self.count)
        if not count:
            return None
        return {
            "count": count,
            "mean_ms": milliseconds(self.mean),
            "p50_ms": milliseconds(self.quantile_s(0.5)),
            "p95_ms": milliseconds(self.quantile_s(0.95)),
            "p99_ms": milliseconds(self.quantile_s(0.99)),
        }


def _edges(scale: int, index: int) -> tuple[float, float]:
    """Of an exponential bucket; what no number can hold is cut to what one can."""
    width = 2.0 ** -max(-10, min(scale, 20))
    low, high = (max(-1022.0, min((index + more) * width, 1023.0)) for more in (0, 1))
    return 2.0**low, 2.0**high


def _divided(rows: Sequence[_Row]) -> list[_Row]:
    """Buckets of several sets of bounds, which overlap, cut where others begin or end."""
    found: dict[tuple[float, float], float] = defaultdict(float)
    edges = sorted({edge for bucket, _ in rows for edge in bucket if math.isfinite(edge)})
    for (low, high), count in rows:
        if high == low or math.isinf(high):
            found[low, low] += count
            continue
        within = edges[bisect_left(edges, low) : bisect_right(edges, high)]
        for begin, end in pairwise(within):
            found[begin, end] += count * ((end - begin) / (high - low))
    return sorted(found.items())


def _quantile(rows: Sequence[_Row], wanted: float) -> float:
    below = 0.0
    for number, ((low, high), count) in enumerate(rows, 1):
        below += count
        if count and (below >= wanted or number == len(rows)):
            short = max(0.0, below - wanted)
            return low if math.isinf(high) else high - (high - low) * short / count
    return 0.0


def milliseconds(seconds: float) -> float:
    """To a microsecond."""
    return round(seconds * 1e3, 3)


def host_sums() -> Sums:
    """The sums of this host's processes; nothing where metrics are off.

    Raises:
        ReadError: they can't be read just now.
    """
    host = active.host()
    return Sums(() if host is None else host.read())
