"""Metrics as they are collected, for the tests of what Prometheus reads of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from otel_django import metric_definitions, names
from otel_django.metric_points import (
    Exemplar,
    HistogramPoint,
    Kind,
    Metric,
    MetricDefinition,
    NumberPoint,
    Point,
    ResourceMetrics,
    Scope,
)

START_NS = 1_700_000_000_000_000_000
NOW_NS = START_NS + 60_000_000_000
TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C
SPAN_ID = 0xB7AD6B7169203331


def number(value: float, time_ns: int = NOW_NS, /, **attributes: Any) -> NumberPoint:
    """A counter's or gauge's point; ``__`` in a key stands for a dot."""
    return NumberPoint(sorted_attributes(attributes), value, START_NS, time_ns)


def histogram(
    counts: Sequence[int],
    total: float = 1.5,
    exemplars: Sequence[Exemplar] = (),
    /,
    **attributes: Any,
) -> HistogramPoint:
    """A histogram's point."""
    return HistogramPoint(
        sorted_attributes(attributes),
        tuple(counts),
        total,
        START_NS,
        NOW_NS,
        exemplars=tuple(exemplars),
    )


def exemplar(value: float, time_ns: int = NOW_NS) -> Exemplar:
    """One of a recorded span."""
    return Exemplar(value, time_ns, TRACE_ID, SPAN_ID)


def metric(
    name: str,
    kind: Kind,
    *points: Point,
    unit: str = "",
    description: str = "",
    bounds: Sequence[float] = (),
    scope: Scope | None = None,
) -> Metric:
    """Any metric, of our scope unless another is given."""
    return Metric(name, unit, description, kind, points, tuple(bounds), scope=scope or Scope())


def role(*metrics: Metric, **resource: str) -> ResourceMetrics:
    """What one role of a host has."""
    return ResourceMetrics({names.SERVICE_NAME: "shop", **_dotted(resource)}, metrics)


def of_definition(definition: MetricDefinition) -> Metric:
    """A metric as it is built in, with one point."""
    attributes = {key: f"<{key}>" for key in definition.attributes}
    return metric(
        definition.name,
        definition.kind,
        histogram([1] * (len(definition.bounds) + 1), 1.5, [exemplar(0.003)], **attributes)
        if definition.kind == "histogram"
        else number(3, **attributes),
        unit=definition.unit,
        description=definition.description,
        bounds=definition.bounds,
    )


def every_built_in_metric() -> ResourceMetrics:
    """All of the package's own, each with one point."""
    return role(*map(of_definition, metric_definitions.ALL))


def sorted_attributes(attributes: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """As a point has them."""
    return tuple(sorted(_dotted(attributes).items()))


def _dotted(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {key.replace("__", "."): value for key, value in attributes.items()}
