"""What metrics are once they are collected: the data model of OpenTelemetry, as plain values.

Recording, export, scraping and the store meet here. Times are nanoseconds since the Unix epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from otel_django import names

AttributeValue = str | bool | int | float | Sequence[str] | Sequence[int] | Sequence[float]
Attributes = tuple[tuple[str, AttributeValue], ...]
"""Sorted by key, each key once: so it can be a dictionary's key (sequences are tuples then)."""

Kind = Literal["counter", "up_down_counter", "gauge", "histogram", "exponential_histogram"]
Temporality = Literal["cumulative", "delta"]


class Exemplar(NamedTuple):
    """A measurement that stands for its bucket: which span it was taken in."""

    value: float
    time_ns: int
    trace_id: int = 0
    span_id: int = 0
    attributes: Attributes = ()


class NumberPoint(NamedTuple):
    """A counter's sum or a gauge's last value."""

    attributes: Attributes
    value: int | float
    start_ns: int
    time_ns: int
    exemplars: tuple[Exemplar, ...] = ()


class HistogramPoint(NamedTuple):
    """``counts`` has one more than the metric's ``bounds``: what is above the last one."""

    attributes: Attributes
    counts: tuple[int, ...]
    sum: float
    start_ns: int
    time_ns: int
    min: float | None = None
    max: float | None = None
    exemplars: tuple[Exemplar, ...] = ()

    @property
    def count(self) -> int:  # type: ignore[override]
        """How many measurements."""
        return sum(self.counts)


class ExponentialPoint(NamedTuple):
    """Base-2 exponential buckets: bucket ``i`` of ``positive`` holds what is above
    ``base ** (positive_offset + i)`` up to the next power, ``base`` being ``2 ** (2 ** -scale)``.
    """

    attributes: Attributes
    scale: int
    zero_count: int
    positive_offset: int
    positive: tuple[int, ...]
    negative_offset: int
    negative: tuple[int, ...]
    sum: float
    start_ns: int
    time_ns: int
    min: float | None = None
    max: float | None = None
    exemplars: tuple[Exemplar, ...] = ()

    @property
    def count(self) -> int:  # type: ignore[override]
        """How many measurements."""
        return self.zero_count + sum(self.positive) + sum(self.negative)


Point = NumberPoint | HistogramPoint | ExponentialPoint


class Scope(NamedTuple):
    """The instrumentation scope a metric was made in."""

    name: str = names.SCOPE
    version: str = ""
    schema_url: str = ""
    attributes: Attributes = ()


class MetricDefinition(NamedTuple):
    """What is fixed of a metric of ours: ``attributes`` are its keys, in the order of recording.

    ``bounds`` are those of the convention, for a histogram.
    """

    name: str
    kind: Kind
    unit: str
    description: str
    attributes: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


class Metric(NamedTuple):
    """One metric with its points, one for each set of attributes.

    ``bounds`` are a histogram's, upper and inclusive. ``temporality`` means nothing for gauges.
    """

    name: str
    unit: str
    description: str
    kind: Kind
    points: tuple[Point, ...]
    bounds: tuple[float, ...] = ()
    temporality: Temporality = "cumulative"
    scope: Scope = Scope()


class ResourceMetrics(NamedTuple):
    """Metrics of one resource at one time."""

    resource: Mapping[str, AttributeValue]
    metrics: tuple[Metric, ...]


def metric_count(data: Iterable[ResourceMetrics]) -> int:
    """How many metrics there are points of."""
    return sum(1 for one in data for metric in one.metrics if metric.points)
