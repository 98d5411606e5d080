"""Log records for tests and benchmarks of the store."""

from __future__ import annotations

import time
from typing import Any

from opentelemetry.sdk.resources import Resource

from otel_django import log_record, names
from otel_django.log_record import LogRecord

LEVELS = {
    "debug": log_record.DEBUG,
    "info": log_record.INFO,
    "warning": log_record.WARN,
    "error": log_record.ERROR,
    "critical": log_record.FATAL,
}
RESOURCES = {
    service: Resource({names.SERVICE_NAME: service, names.HOST_NAME: "test"})
    for service in ("shop", "mail")
}


def record(
    event: str = "order.placed",
    *,
    level: str = "info",
    time_ns: int | None = None,
    logger: str = "shop.orders",
    service: str = "shop",
    trace_id: int = 0,
    span_id: int = 0,
    named: bool = False,
    body: Any = None,
    **attributes: Any,
) -> LogRecord:
    """A record; ``named``: ``event`` is its event's name. Double underscores stand for dots."""
    return LogRecord(
        time_ns=time.time_ns() if time_ns is None else time_ns,
        severity_number=LEVELS[level],
        severity_text=level,
        body=event if body is None else body,
        event_name=event if named or body is not None else "",
        attributes={key.replace("__", "."): value for key, value in attributes.items()},
        resource=RESOURCES[service],
        scope_name=logger,
        trace_id=trace_id,
        span_id=span_id,
        trace_flags=1 if trace_id else 0,
    )
