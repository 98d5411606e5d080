"""Rows of a reader as OTLP's JSON: a line a request, as a Collector's ``otlpjsonfile`` reads them.

As the protocol has it: ids in hexadecimal, 64-bit integers as text, enumerations as numbers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from otel_django import names
from otel_django.metric_points import Exemplar, ExponentialPoint, HistogramPoint, NumberPoint, Point

if TYPE_CHECKING:
    from otel_django.contracts import LogRow, MetricInfo, MetricSeries, SpanRow

Json = dict[str, Any]
KINDS: Final = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
STATUSES: Final = {"unset": 0, "ok": 1, "error": 2}
CUMULATIVE: Final = 2
SERVICE_INSTANCE_ID: Final = "service.instance.id"


def traces(spans: Iterable[SpanRow]) -> str:
    """An ``ExportTraceServiceRequest``."""
    groups = [
        {
            "resource": {"attributes": attributes(resource)},
            "scopeSpans": [{"scope": {"name": scope}, "spans": list(map(_span, rows))}],
        }
        for (resource, scope), rows in _grouped(spans, lambda span: span.scope)
    ]
    return _line({"resourceSpans": groups})


def logs(rows: Iterable[LogRow]) -> str:
    """An ``ExportLogsServiceRequest``."""
    groups = [
        {
            "resource": {"attributes": attributes(resource)},
            "scopeLogs": [{"scope": {"name": scope}, "logRecords": list(map(_log, found))}],
        }
        for (resource, scope), found in _grouped(rows, lambda row: row.logger)
    ]
    return _line({"resourceLogs": groups})


def metrics(info: MetricInfo, series: Iterable[MetricSeries]) -> str:
    """An ``ExportMetricsServiceRequest`` of one metric."""
    groups = []
    for (service, instance, bounds), found in groupby(
        series, lambda each: (each.service, each.instance, each.bounds)
    ):
        resource = {names.SERVICE_NAME: service, SERVICE_INSTANCE_ID: instance}
        points = [_point(point, bounds) for each in found for point in each.points]
        metric = {"name": info.name, "unit": info.unit, "description": info.description}
        groups.append(
            {
                "resource": {"attributes": attributes(resource)},
                "scopeMetrics": [
                    {
                        "scope": {"name": names.SCOPE},
                        "metrics": [{**metric, **_data(info.kind, points)}],
                    }
                ],
            }
        )
    return _line({"resourceMetrics": groups})


def _line(request: Json) -> str:
    return json.dumps(request, separators=(",", ":"), ensure_ascii=False)


def _grouped(rows: Iterable[Any], scope: Any) -> Iterable[tuple[tuple[Any, str], list[Any]]]:
    """Rows by resource and scope; readers give equal resources as one object."""
    found: dict[tuple[int, str], tuple[Any, list[Any]]] = {}
    for row in rows:
        key = (id(row.resource), scope(row))
        found.setdefault(key, (row.resource, []))[1].append(row)
    return [((resource, name), group) for (_, name), (resource, group) in found.items()]


def _span(span: SpanRow) -> Json:
    found: Json = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "kind": KINDS.get(span.kind, 0),
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(span.start_ns + span.duration_ns),
        "attributes": attributes(span.attributes),
        "status": {"code": STATUSES.get(span.status, 0), "message": span.status_message},
    }
    if span.parent_id:
        found["parentSpanId"] = span.parent_id
    if span.trace_state:
        found["traceState"] = span.trace_state
    if span.events:
        found["events"] = [
            {
                "name": event.name,
                "timeUnixNano": str(event.time_ns),
                "attributes": attributes(event.attributes),
            }
            for event in span.events
        ]
    if span.links:
        found["links"] = [
            {
                "traceId": link.trace_id,
                "spanId": link.span_id,
                "attributes": attributes(link.attributes),
            }
            for link in span.links
        ]
    return found


def _log(row: LogRow) -> Json:
    body = row.event if row.body is None else row.body
    found: Json = {
        "timeUnixNano": str(row.time_ns),
        "observedTimeUnixNano": str(row.time_ns),
        "severityNumber": row.severity_number,
        "severityText": row.level,
        "body": value(body),
        "attributes": attributes(row.attributes),
    }
    if row.named:
        found["eventName"] = row.event
    if row.trace_id:
        found["traceId"] = row.trace_id
    if row.span_id:
        found["spanId"] = row.span_id
    return found


def _data(kind: str, points: list[Json]) -> Json:
    if kind == "gauge":
        return {"gauge": {"dataPoints": points}}
    data: Json = {"dataPoints": points, "aggregationTemporality": CUMULATIVE}
    if kind == "histogram":
        return {"histogram": data}
    if kind == "exponential_histogram":
        return {"exponentialHistogram": data}
    return {"sum": {**data, "isMonotonic": kind == "counter"}}


def _point(point: Point, bounds: tuple[float, ...]) -> Json:
    found: Json = {
        "attributes": attributes(dict(point.attributes)),
        "startTimeUnixNano": str(point.start_ns),
        "timeUnixNano": str(point.time_ns),
    }
    if point.exemplars:
        found["exemplars"] = list(map(_exemplar, point.exemplars))
    if isinstance(point, NumberPoint):
        return {**found, **_number(point.value)}
    found |= {"count": str(point.count), "sum": _double(point.sum)}
    found |= {
        key: _double(limit)
        for key, limit in (("min", point.min), ("max", point.max))
        if limit is not None
    }
    if isinstance(point, HistogramPoint):
        return {**found, "bucketCounts": list(map(str, point.counts)), "explicitBounds": bounds}
    return {**found, **_exponential(point)}


def _exponential(point: ExponentialPoint) -> Json:
    return {
        "scale": point.scale,
        "zeroCount": str(point.zero_count),
        "positive": {
            "offset": point.positive_offset,
            "bucketCounts": list(map(str, point.positive)),
        },
        "negative": {
            "offset": point.negative_offset,
            "bucketCounts": list(map(str, point.negative)),
        },
    }


def _exemplar(exemplar: Exemplar) -> Json:
    found: Json = {
        "timeUnixNano": str(exemplar.time_ns),
        "filteredAttributes": attributes(dict(exemplar.attributes)),
        **_number(exemplar.value),
    }
    if exemplar.trace_id:
        found["traceId"] = format(exemplar.trace_id, "032x")
        found["spanId"] = format(exemplar.span_id, "016x")
    return found


def _number(number: float) -> Json:
    return {"asInt": str(number)} if isinstance(number, int) else {"asDouble": _double(number)}


def _double(number: float) -> float | str:
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def attributes(found: Mapping[str, Any]) -> list[Json]:
    """A list of ``KeyValue``."""
    return [{"key": key, "value": value(each)} for key, each in found.items()]


def value(found: Any) -> Json:
    """An ``AnyValue``."""
    if isinstance(found, str):
        return {"stringValue": found}
    if isinstance(found, bool):
        return {"boolValue": found}
    if isinstance(found, int):
        return {"intValue": str(found)}
    if isinstance(found, float):
        return {"doubleValue": _double(found)}
    if isinstance(found, Mapping):
        if found.keys() == {"base64"}:
            return {"bytesValue": found["base64"]}
        return {"kvlistValue": {"values": attributes(found)}}
    if isinstance(found, list | tuple):
        return {"arrayValue": {"values": list(map(value, found))}}
    return {}
