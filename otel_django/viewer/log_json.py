"""A log record as a JSON object."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_django.contracts import LogRow


def log_json(row: LogRow, indent: int | None = None) -> str:
    """All there is of it, with a line's end; the time as OTLP's JSON has it."""
    whole = {
        "timeUnixNano": str(row.time_ns),
        "level": row.level,
        "severityNumber": row.severity_number,
        "event": row.event,
        "body": row.body,
        "logger": row.logger,
        "service": row.service,
        "traceId": row.trace_id,
        "spanId": row.span_id,
        "attributes": dict(row.attributes),
        "resource": dict(row.resource),
    }
    found = {key: value for key, value in whole.items() if value not in ("", None, {})}
    return json.dumps(found, indent=indent, ensure_ascii=False, default=str) + "\n"
