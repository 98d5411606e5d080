"""Sends what a host's elected process exports, as ``OtlpSender`` sends what is queued."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from otel_django.metric_points import metric_count
from otel_django.pipeline.sender import OtlpSender

if TYPE_CHECKING:
    from otel_django.metric_points import ResourceMetrics


class MetricSender(OtlpSender):
    """A ``MetricSink``, and a ``Sink`` that the worker polls: what can't be sent waits on disk."""

    @staticmethod
    def count_items(batch: Sequence[ResourceMetrics]) -> int:
        """Metrics; only what a receiver refuses of a request is counted by it, in points."""
        return metric_count(batch)

    def take(self, data: Sequence[ResourceMetrics]) -> None:
        """Send sums of the host, or keep them where sending must wait."""
        self.accept(data)
