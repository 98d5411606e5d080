"""Rows of a reader for CSV: the columns of each signal."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from otel_django.metric_points import NumberPoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from otel_django.contracts import LogRow, MetricInfo, MetricSeries, SpanRow, TraceSummary

COLUMNS: Final = {
    "trace list": [
        "time",
        "trace_id",
        "name",
        "route",
        "service",
        "method",
        "http_status",
        "failed",
        "duration_ms",
        "spans",
        "errors",
        "queries",
        "query_ms",
        "n_plus_one",
    ],
    "traces": [
        "time",
        "trace_id",
        "span_id",
        "parent_id",
        "name",
        "kind",
        "service",
        "duration_ms",
        "status",
        "status_message",
        "attributes",
    ],
    "logs": [
        "time",
        "level",
        "logger",
        "event",
        "body",
        "service",
        "trace_id",
        "span_id",
        "attributes",
    ],
    "metrics": [
        "time",
        "name",
        "unit",
        "kind",
        "service",
        "instance",
        "attributes",
        "value",
        "count",
        "sum",
        "min",
        "max",
    ],
}
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", *"\uff1d\uff0b\uff0d\uff20")
"""The last ones are the same signs in full width, which spreadsheets of East Asia read alike."""


def trace(row: TraceSummary) -> list[Any]:
    """Of ``COLUMNS["trace list"]``."""
    return [
        moment(row.start_ns),
        row.trace_id,
        *map(text, (row.name, row.route, row.service, row.method or "")),
        row.http_status or "",
        row.failed,
        row.duration_ns / 1e6,
        row.span_count,
        row.error_count,
        row.query_count,
        row.query_ns / 1e6,
        row.n_plus_one,
    ]


def span(row: SpanRow) -> list[Any]:
    """Of ``COLUMNS["traces"]``."""
    return [
        moment(row.start_ns),
        row.trace_id,
        row.span_id,
        row.parent_id or "",
        text(row.name),
        row.kind,
        text(row.service),
        row.duration_ns / 1e6,
        row.status,
        text(row.status_message),
        _json(row.attributes),
    ]


def log(row: LogRow) -> list[Any]:
    """Of ``COLUMNS["logs"]``."""
    body = row.body if isinstance(row.body, str) else "" if row.body is None else _json(row.body)
    texts = (row.level, row.logger, row.event, body, row.service)
    return [
        moment(row.time_ns),
        *map(text, texts),
        row.trace_id,
        row.span_id,
        _json(row.attributes),
    ]


def points(info: MetricInfo, series: MetricSeries) -> Iterator[list[Any]]:
    """Of ``COLUMNS["metrics"]``; a histogram has no value, a number no count."""
    labels = _json(dict(series.attributes))
    head = [*map(text, (info.name, info.unit, info.kind, series.service, series.instance)), labels]
    for point in series.points:
        if isinstance(point, NumberPoint):
            yield [moment(point.time_ns), *head, point.value, "", "", "", ""]
        else:
            told = (point.count, point.sum, point.min, point.max)
            yield [
                moment(point.time_ns),
                *head,
                "",
                *("" if each is None else each for each in told),
            ]


def moment(time_ns: int) -> str:
    """A time as spreadsheets read it."""
    seconds, rest = divmod(min(max(time_ns, 0), 250_000_000_000 * 10**9), 10**9)
    day = datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{day}.{rest // 1000:06d}Z"


def text(value: str) -> str:
    """What a spreadsheet would take for a formula stays text."""
    return f"'{value}" if value.startswith(FORMULA) else value


def _json(found: Mapping[str, Any]) -> str:
    return json.dumps(found, ensure_ascii=False) if found else ""
