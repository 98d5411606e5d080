"""Metrics as JSON for programs, under their OpenTelemetry names, each role of the host apart."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from otel_django.metric_points import (
    Attributes,
    ExponentialPoint,
    Metric,
    NumberPoint,
    Point,
    ResourceMetrics,
)

CONTENT_TYPE = "application/json"


def render(data: Iterable[ResourceMetrics], now_ns: int) -> str:
    """``{timestamp, resources: [{attributes, metrics: [{name, kind, unit, series}]}]}``."""
    page = {
        "timestamp": datetime.fromtimestamp(now_ns / 1e9, timezone.utc).isoformat(),
        "resources": [
            {
                "attributes": dict(resource.resource),
                "metrics": [_metric(metric) for metric in resource.metrics],
            }
            for resource in data
        ],
    }
    return json.dumps(page, default=list, allow_nan=False)


def _metric(metric: Metric) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": metric.name,
        "kind": metric.kind,
        "unit": metric.unit,
        "description": metric.description,
        "scope": metric.scope.name,
    }
    if metric.kind == "histogram":
        shown["bounds"] = [_number(bound) for bound in metric.bounds]
    shown["series"] = [
        {"attributes": _attributes(point.attributes), **_values(point)} for point in metric.points
    ]
    return shown


def _values(point: Point) -> dict[str, Any]:
    if isinstance(point, NumberPoint):
        return {"value": _number(point.value)}
    shown: dict[str, Any] = {
        "count": point.count,
        "sum": _number(point.sum),
        "min": None if point.min is None else _number(point.min),
        "max": None if point.max is None else _number(point.max),
    }
    if isinstance(point, ExponentialPoint):
        return {
            **shown,
            "scale": point.scale,
            "zero_count": point.zero_count,
            "positive": {"offset": point.positive_offset, "counts": point.positive},
            "negative": {"offset": point.negative_offset, "counts": point.negative},
        }
    return {**shown, "counts": point.counts}


def _attributes(attributes: Attributes) -> dict[str, Any]:
    return {key: _number(value) if isinstance(value, float) else value for key, value in attributes}


def _number(value: float) -> int | float | str:
    """JSON has no word for these: the text that OTLP's JSON writes."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
