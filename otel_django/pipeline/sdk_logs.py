"""Log records as the SDK's exporters read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from opentelemetry._logs import LogRecord as ApiLogRecord
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    set_span_in_context,
)

from otel_django.pipeline.exporter_sink import ExporterSink

if TYPE_CHECKING:
    from otel_django.log_record import LogRecord


class LogExporterSink(ExporterSink):
    """For an exporter of log records."""

    signal = "logs"

    def converted(self, batch: Sequence[LogRecord]) -> list[ReadableLogRecord]:
        """The batch as the SDK has it."""
        return [readable(record) for record in batch]


def readable(record: LogRecord) -> ReadableLogRecord:
    """The same record; the count of dropped attributes has no place in it."""
    context = SpanContext(
        record.trace_id, record.span_id, is_remote=False, trace_flags=TraceFlags(record.trace_flags)
    )
    return ReadableLogRecord(
        ApiLogRecord(
            timestamp=record.time_ns,
            observed_timestamp=record.observed_ns,
            context=set_span_in_context(NonRecordingSpan(context)),
            severity_text=record.severity_text,
            severity_number=SeverityNumber(record.severity_number),
            body=record.body,
            attributes=record.attributes,
            event_name=record.event_name,
        ),
        record.resource,
        InstrumentationScope(record.scope_name, record.scope_version),
    )
