"""A log record on its way from the caller to the exporters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

TRACE: Final = 1
DEBUG: Final = 5
INFO: Final = 9
WARN: Final = 13
ERROR: Final = 17
FATAL: Final = 21
"""Severity numbers of OpenTelemetry's log data model, each the first of its range of four."""
_new: Final = object.__new__


class LogRecord:
    """What the log data model knows of a record, redacted and made plain already.

    Times are nanoseconds since the epoch; ``trace_id`` and ``span_id`` are 0 where there is no
    trace. ``body`` is a text, or plain values for users of the logs API. ``attributes`` belong to
    the record alone. ``resource`` is that of its process (an SDK ``Resource``).
    """

    __slots__ = (
        "_large_bytes",
        "attributes",
        "body",
        "dropped_attributes",
        "event_name",
        "observed_ns",
        "resource",
        "scope_name",
        "scope_version",
        "severity_number",
        "severity_text",
        "span_id",
        "time_ns",
        "trace_flags",
        "trace_id",
    )

    def __init__(
        self,
        *,
        time_ns: int,
        severity_number: int,
        severity_text: str,
        body: Any,
        attributes: Mapping[str, Any],
        resource: Any,
        event_name: str = "",
        scope_name: str = "",
        scope_version: str = "",
        trace_id: int = 0,
        span_id: int = 0,
        trace_flags: int = 0,
        observed_ns: int = 0,
        dropped_attributes: int = 0,
        large_bytes: int = 0,
    ) -> None:
        self.time_ns = time_ns
        self.observed_ns = observed_ns or time_ns
        self.severity_number = severity_number
        self.severity_text = severity_text
        self.body = body
        self.event_name = event_name
        self.attributes = attributes
        self.resource = resource
        self.scope_name = scope_name
        self.scope_version = scope_version
        self.trace_id = trace_id
        self.span_id = span_id
        self.trace_flags = trace_flags
        self.dropped_attributes = dropped_attributes
        self._large_bytes = large_bytes
        """What the queue counts beyond an ordinary record's size."""


def log_record(
    time_ns: int,
    severity_number: int,
    severity_text: str,
    body: Any,
    attributes: Mapping[str, Any],
    resource: Any,
    event_name: str,
    scope_name: str,
    trace_id: int,
    span_id: int,
    trace_flags: int,
    dropped_attributes: int,
    large_bytes: int,
) -> LogRecord:
    """As ``LogRecord(…)``, at a third of its cost."""
    record = _new(LogRecord)
    record.time_ns = record.observed_ns = time_ns
    record.severity_number = severity_number
    record.severity_text = severity_text
    record.body = body
    record.attributes = attributes
    record.resource = resource
    record.event_name = event_name
    record.scope_name = scope_name
    record.scope_version = ""
    record.trace_id = trace_id
    record.span_id = span_id
    record.trace_flags = trace_flags
    record.dropped_attributes = dropped_attributes
    record._large_bytes = large_bytes
    return record
