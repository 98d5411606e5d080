"""Log records of OTLP as the package's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_django import log_record
from otel_django.log_record import LogRecord
from otel_django.receiver.decoding_values import attributes, id_of, name_of, value

if TYPE_CHECKING:
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord as LogRecordMessage

    from otel_django.metric_points import Scope
    from otel_django.receiver.decoding_values import Resource

LARGEST_SEVERITY: Final = 24
AVERAGE_BYTES: Final = 2_048
_LEVELS: Final = {
    "trace": log_record.TRACE,
    "debug": log_record.DEBUG,
    "info": log_record.INFO,
    "information": log_record.INFO,
    "notice": log_record.INFO,
    "warn": log_record.WARN,
    "warning": log_record.WARN,
    "err": log_record.ERROR,
    "error": log_record.ERROR,
    "fatal": log_record.FATAL,
    "critical": log_record.FATAL,
    "alert": log_record.FATAL,
    "emergency": log_record.FATAL,
}


def record(message: LogRecordMessage, resource: Resource, scope: Scope, now_ns: int) -> LogRecord:
    """Ids that aren't any are left out, as the protocol says; no time at all is now."""
    own, dropped = attributes(message.attributes)
    observed_ns = message.observed_time_unix_nano or message.time_unix_nano or now_ns
    text = name_of(message.severity_text)
    number = message.severity_number
    body: Any = value(message.body) if message.HasField("body") else None
    return LogRecord(
        time_ns=message.time_unix_nano or observed_ns,
        observed_ns=observed_ns,
        severity_number=number if 0 < number <= LARGEST_SEVERITY else _LEVELS.get(text.lower(), 0),
        severity_text=text,
        body=body,
        event_name=name_of(message.event_name),
        attributes=own,
        dropped_attributes=message.dropped_attributes_count + dropped,
        resource=resource,
        scope_name=scope.name,
        scope_version=scope.version,
        trace_id=id_of(message.trace_id, 16),
        span_id=id_of(message.span_id, 8),
        trace_flags=message.flags & 0xFF,
        large_bytes=max(0, message.ByteSize() - AVERAGE_BYTES),
    )
