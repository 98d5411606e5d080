"""Metrics as the SDK's exporters read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.metrics import Exemplar as SdkExemplar
from opentelemetry.sdk.metrics import export as sdk
from opentelemetry.sdk.metrics._internal.point import Buckets
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel_django.metric_points import (
    ExponentialPoint,
    HistogramPoint,
    NumberPoint,
    Scope,
    metric_count,
)
from otel_django.pipeline.exporter_sink import ExporterSink

if TYPE_CHECKING:
    from otel_django.metric_points import Exemplar, Metric, ResourceMetrics

_TEMPORALITY: Final = {
    "delta": sdk.AggregationTemporality.DELTA,
    "cumulative": sdk.AggregationTemporality.CUMULATIVE,
}


class MetricExporterSink(ExporterSink):
    """For a metric exporter that is pushed to; a ``MetricSink``."""

    signal = "metrics"

    def converted(self, batch: Sequence[ResourceMetrics]) -> sdk.MetricsData:
        """The batch as the SDK has it."""
        return metrics_data(batch)

    def count(self, batch: Sequence[ResourceMetrics]) -> int:
        """Metrics."""
        return metric_count(batch)

    def take(self, data: Sequence[ResourceMetrics]) -> None:
        """Export on the worker thread."""
        self.accept(data)


def metrics_data(data: Iterable[ResourceMetrics]) -> sdk.MetricsData:
    """The same metrics."""
    return sdk.MetricsData(
        [
            sdk.ResourceMetrics(Resource(one.resource), _scope_metrics(one.metrics), "")
            for one in data
        ]
    )


def _scope_metrics(metrics: Iterable[Metric]) -> list[sdk.ScopeMetrics]:
    by_scope: dict[Scope, list[sdk.Metric]] = {}
    for metric in metrics:
        if metric.points:
            by_scope.setdefault(metric.scope, []).append(_metric(metric))
    return [
        sdk.ScopeMetrics(
            InstrumentationScope(
                scope.name, scope.version, scope.schema_url, dict(scope.attributes)
            ),
            of_scope,
            scope.schema_url,
        )
        for scope, of_scope in by_scope.items()
    ]


def _metric(metric: Metric) -> sdk.Metric:
    return sdk.Metric(metric.name, metric.description, metric.unit, _data(metric))


def _data(metric: Metric) -> sdk.Gauge | sdk.Sum | sdk.Histogram | sdk.ExponentialHistogram:
    temporality = _TEMPORALITY[metric.temporality]
    if metric.kind == "histogram":
        points = [p for p in metric.points if isinstance(p, HistogramPoint)]
        return sdk.Histogram([_histogram(p, metric.bounds) for p in points], temporality)
    if metric.kind == "exponential_histogram":
        exponential = [p for p in metric.points if isinstance(p, ExponentialPoint)]
        return sdk.ExponentialHistogram([_exponential(p) for p in exponential], temporality)
    numbers = [_number(p) for p in metric.points if isinstance(p, NumberPoint)]
    if metric.kind == "gauge":
        return sdk.Gauge(numbers)
    return sdk.Sum(numbers, temporality, is_monotonic=metric.kind == "counter")


def _number(point: NumberPoint) -> sdk.NumberDataPoint:
    return sdk.NumberDataPoint(
        attributes=dict(point.attributes),
        start_time_unix_nano=point.start_ns,
        time_unix_nano=point.time_ns,
        value=point.value,
        exemplars=_exemplars(point.exemplars),
    )


def _histogram(point: HistogramPoint, bounds: Sequence[float]) -> sdk.HistogramDataPoint:
    return sdk.HistogramDataPoint(
        attributes=dict(point.attributes),
        start_time_unix_nano=point.start_ns,
        time_unix_nano=point.time_ns,
        count=point.count,
        sum=point.sum,
        bucket_counts=point.counts,
        explicit_bounds=bounds,
        min=point.min,  # type: ignore[arg-type]
        max=point.max,  # type: ignore[arg-type]
        exemplars=_exemplars(point.exemplars),
    )


def _exponential(point: ExponentialPoint) -> sdk.ExponentialHistogramDataPoint:
    return sdk.ExponentialHistogramDataPoint(
        attributes=dict(point.attributes),
        start_time_unix_nano=point.start_ns,
        time_unix_nano=point.time_ns,
        count=point.count,
        sum=point.sum,
        scale=point.scale,
        zero_count=point.zero_count,
        positive=Buckets(point.positive_offset, point.positive),
        negative=Buckets(point.negative_offset, point.negative),
        flags=0,
        min=point.min,  # type: ignore[arg-type]
        max=point.max,  # type: ignore[arg-type]
        exemplars=_exemplars(point.exemplars),
    )


def _exemplars(exemplars: Iterable[Exemplar]) -> list[SdkExemplar]:
    return [
        SdkExemplar(
            dict(one.attributes),
            one.value,
            one.time_ns,
            one.span_id if one.trace_id else None,
            one.trace_id or None,
        )
        for one in exemplars
    ]
