"""A recorder for tests, and what it holds."""

from __future__ import annotations

from typing import Any

from otel_django.clock import SYSTEM_CLOCK
from otel_django.metric_points import HistogramPoint, MetricDefinition, NumberPoint
from otel_django.metrics.recorder import Recorder


class Measured:
    """``recorder`` is for the instrumentation; the rest looks at its sums."""

    def __init__(self, **options: Any) -> None:
        self.recorder = Recorder(clock=SYSTEM_CLOCK, **options)

    def points(
        self, definition: MetricDefinition, *keys: str
    ) -> dict[tuple[Any, ...], HistogramPoint | NumberPoint]:
        """The metric's points by the values of ``keys`` (all of its own by default)."""
        found: dict[tuple[Any, ...], HistogramPoint | NumberPoint] = {}
        for metric in self.recorder.collect():
            if metric.name == definition.name:
                for point in metric.points:
                    attributes = dict(point.attributes)
                    key = tuple(attributes.get(each) for each in keys or definition.attributes)
                    assert key not in found, f"{key} is ambiguous"
                    assert isinstance(point, HistogramPoint | NumberPoint)
                    found[key] = point
        return found

    def counts(self, definition: MetricDefinition, *keys: str) -> dict[tuple[Any, ...], float]:
        """How many measurements a histogram has, or the sum of a counter."""
        return {
            key: point.count if isinstance(point, HistogramPoint) else point.value
            for key, point in self.points(definition, *keys).items()
        }

    def sums(self, definition: MetricDefinition, *keys: str) -> dict[tuple[Any, ...], float]:
        """The sums of a histogram."""
        return {
            key: point.sum
            for key, point in self.points(definition, *keys).items()
            if isinstance(point, HistogramPoint)
        }
