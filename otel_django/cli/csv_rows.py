"""Rows of a reader for CSV: the columns of each signal."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from otel_django.metric_points import NumberPoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from otel_django.contracts import LogRow, MetricInfo, MetricSeries, SpanRow

COLUMNS: Final = {
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
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def span(row: SpanRow) -> list[Any]:
    """Of ``COLUMNS["traces"]``."""
    return [
        _time(row.start_ns),
        row.trace_id,
        row.span_id,
        row.parent_id or "",
        _text(row.name),
        row.kind,
        _text(row.service),
        row.duration_ns / 1e6,
        row.status,
        _text(row.status_message),
        _json(row.attributes),
    ]


def log(row: LogRow) -> list[Any]:
    """Of ``COLUMNS["logs"]``."""
    body = row.body if isinstance(row.body, str) else "" if row.body is None else _json(row.body)
    texts = (row.level, row.logger, row.event, body, row.service)
    return [
        _time(row.time_ns),
        *map(_text, texts),
        row.trace_id,
        row.span_id,
        _json(row.attributes),
    ]


def points(info: MetricInfo, series: MetricSeries) -> Iterator[list[Any]]:
    """Of ``COLUMNS["metrics"]``; a histogram has no value, a number no count."""
    labels = _json(dict(series.attributes))
    head = [*map(_text, (info.name, info.unit, info.kind, series.service, series.instance)), labels]
    for point in series.points:
        if isinstance(point, NumberPoint):
            yield [_time(point.time_ns), *head, point.value, "", "", "", ""]
        else:
            told = (point.count, point.sum, point.min, point.max)
            yield [
                _time(point.time_ns),
                *head,
                "",
                *("" if each is None else each for each in told),
            ]


def _time(time_ns: int) -> str:
    seconds, rest = divmod(min(max(time_ns, 0), 250_000_000_000 * 10**9), 10**9)
    day = datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{day}.{rest // 1000:06d}Z"


def _text(text: str) -> str:
    """What a spreadsheet would take for a formula stays text."""
    return f"'{text}" if text.startswith(FORMULA) else text


def _json(found: Mapping[str, Any]) -> str:
    return json.dumps(found, ensure_ascii=False) if found else ""
