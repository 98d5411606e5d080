"""Metrics for tests of the store."""

from __future__ import annotations

from typing import Any

from otel_django import names
from otel_django.metric_points import (
    Exemplar,
    HistogramPoint,
    Kind,
    Metric,
    NumberPoint,
    Point,
    ResourceMetrics,
)
from otel_django.store.metric_rows import SERVICE_INSTANCE_ID

BOUNDS = (0.1, 1.0)
BEGAN_NS = 1_000_000_000


def of(*metrics: Metric, service: str = "shop", instance: str = "host/shop/web") -> ResourceMetrics:
    """Metrics of one resource."""
    return ResourceMetrics({names.SERVICE_NAME: service, SERVICE_INSTANCE_ID: instance}, metrics)


def counter(
    value: float, time_ns: int, name: str = "orders.placed", kind: Kind = "counter", **labels: Any
) -> Metric:
    """A counter with one series."""
    point = NumberPoint(tuple(sorted(labels.items())), value, BEGAN_NS, time_ns)
    return metric(point, name=name, kind=kind)


def metric(*points: Point, name: str, kind: Kind, bounds: tuple[float, ...] = ()) -> Metric:
    """A metric of these points."""
    return Metric(name, "{order}", "What was ordered.", kind, points, bounds)


def histogram(counts: tuple[int, ...], time_ns: int, *exemplars: Exemplar) -> Metric:
    """A histogram with one series, bounds 0.1 and 1."""
    point = HistogramPoint(
        (("http.route", "/"),), counts, 0.5 * sum(counts), BEGAN_NS, time_ns, 0.01, 2.5, exemplars
    )
    return metric(point, name="request.duration", kind="histogram", bounds=BOUNDS)
