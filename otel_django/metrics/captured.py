"""What was measured between two collections of one recorder: for the test kit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from otel_django.metric_points import NumberPoint

if TYPE_CHECKING:
    from otel_django.metric_points import Metric, Point

Earlier = dict[tuple[Any, ...], tuple[float, int]]


@dataclass(frozen=True)
class CapturedMetric:
    """What was measured of one metric under one set of attributes.

    ``value`` is by how much a counter changed, what a gauge was set to, or a histogram's sum;
    ``count`` is how many measurements a histogram took, 0 for the others.
    """

    name: str
    kind: str
    unit: str
    attributes: Mapping[str, Any]
    value: float
    count: int = 0

    def has(self, wanted: Mapping[str, Any]) -> bool:
        """Whether these are among its attributes."""
        return all(self.attributes.get(key) == value for key, value in wanted.items())

    def __str__(self) -> str:
        listed = ", ".join(f"{key}={value!r}" for key, value in self.attributes.items())
        count = f" in {self.count}" if self.count else ""
        return f"{self.name}{{{listed}}} {self.value}{count} {self.unit}".rstrip()


def differences(before: Iterable[Metric], after: Iterable[Metric]) -> list[CapturedMetric]:
    """By how much each series of ``after`` is more than ``before``; those that aren't left out."""
    earlier: Earlier = {key: _numbers(point) for _, key, point in _series(before)}
    found = []
    for metric, key, point in _series(after):
        value, count = _numbers(point)
        if metric.kind != "gauge":
            value_before, count_before = earlier.get(key, (0, 0))
            value, count = value - value_before, count - count_before
        if value or count or metric.kind == "gauge":
            attributes = dict(point.attributes)
            found.append(
                CapturedMetric(metric.name, metric.kind, metric.unit, attributes, value, count)
            )
    return found


def summed(series: list[CapturedMetric]) -> CapturedMetric:
    """Several series of one metric as one, with the attributes that all have."""
    first = series[0]
    return replace(
        first,
        attributes={
            key: value
            for key, value in first.attributes.items()
            if all(other.has({key: value}) for other in series)
        },
        value=sum(other.value for other in series),
        count=sum(other.count for other in series),
    )


def _series(metrics: Iterable[Metric]) -> Iterator[tuple[Metric, tuple[Any, ...], Point]]:
    for metric in metrics:
        for point in metric.points:
            yield metric, (metric.name, metric.kind, metric.scope, point.attributes), point


def _numbers(point: Point) -> tuple[float, int]:
    if isinstance(point, NumberPoint):
        return point.value, 0
    return point.sum, point.count
