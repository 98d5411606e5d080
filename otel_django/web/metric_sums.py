"""Totals and percentiles of the host's sums, as people ask for them."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any, TypedDict

from otel_django.metric_points import ExponentialPoint, HistogramPoint, NumberPoint
from otel_django.metrics import active

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otel_django.metric_points import Metric, MetricDefinition, Point, ResourceMetrics


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
        self._counts: dict[tuple[float, float], int] = defaultdict(int)
        self._sum_s = 0.0

    def add(self, point: Point, metric: Metric) -> None:
        """Add a histogram's point; those of other kinds count for nothing."""
        if isinstance(point, HistogramPoint):
            edges = (0.0, *metric.bounds, math.inf)
            for low, high, count in zip(edges, edges[1:], point.counts, strict=False):
                self._counts[low, high] += count
            self._sum_s += point.sum
        elif isinstance(point, ExponentialPoint):
            base = 2.0 ** (2.0**-point.scale)
            self._counts[0.0, 0.0] += point.zero_count
            for number, count in enumerate(point.positive, point.positive_offset):
                self._counts[base**number, base ** (number + 1)] += count
            self._sum_s += point.sum

    def quantile_s(self, share: float) -> float:
        """Where ``share`` of all lie below, evenly spread within a bucket; 0.0 for none at all.

        Of what lies above the last bound only that is known: the bound.
        """
        wanted = share * sum(self._counts.values())
        below = 0
        for (low, high), count in sorted(self._counts.items()):
            below += count
            if count and below >= wanted:
                if math.isinf(high):
                    return low
                return high - (high - low) * (below - wanted) / count
        return 0.0

    def durations(self) -> Durations | None:
        """As it is shown; None for none at all."""
        count = sum(self._counts.values())
        if not count:
            return None
        return {
            "count": count,
            "mean_ms": milliseconds(self._sum_s / count),
            "p50_ms": milliseconds(self.quantile_s(0.5)),
            "p95_ms": milliseconds(self.quantile_s(0.95)),
            "p99_ms": milliseconds(self.quantile_s(0.99)),
        }


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
