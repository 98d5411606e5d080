"""One span, one log record and one metric point, real ones, that can be found again."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs, SeverityNumber
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Gauge,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from otel_django import metric_definitions, names
from otel_django.version import VERSION

if TYPE_CHECKING:
    from otel_django.conf import Settings

DURATION_NS: Final = 1_000_000
INSTANCE: Final = "otel-doctor"


@dataclass(frozen=True)
class Probe:
    """``value`` is the metric's: the second it was made, so that an older probe isn't taken for it.

    The instance is always the same one: probes add no series.
    """

    service: str
    trace_id: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    span_id: bytes = field(default_factory=lambda: secrets.token_bytes(8))
    made_ns: int = field(default_factory=time.time_ns)

    @property
    def value(self) -> int:
        """Unix time in seconds."""
        return self.made_ns // 1_000_000_000

    @property
    def text(self) -> str:
        """The log record's body."""
        return f"otel doctor was here, trace {self.trace_id.hex()}"


def encoded(probe: Probe, signal: str, settings: Settings) -> bytes:
    """The export request of one signal."""
    resource = _resource(probe, settings)
    scope = InstrumentationScope(name=names.SCOPE, version=VERSION)
    if signal == "traces":
        spans = ScopeSpans(scope=scope, spans=[_span(probe)])
        return ExportTraceServiceRequest(
            resource_spans=[ResourceSpans(resource=resource, scope_spans=[spans])]
        ).SerializeToString()
    if signal == "logs":
        records = ScopeLogs(scope=scope, log_records=[_record(probe)])
        return ExportLogsServiceRequest(
            resource_logs=[ResourceLogs(resource=resource, scope_logs=[records])]
        ).SerializeToString()
    metrics = ScopeMetrics(scope=scope, metrics=[_metric(probe)])
    return ExportMetricsServiceRequest(
        resource_metrics=[ResourceMetrics(resource=resource, scope_metrics=[metrics])]
    ).SerializeToString()


def _resource(probe: Probe, settings: Settings) -> Resource:
    attributes = {
        **settings.resource_attributes,
        names.SERVICE_NAME: probe.service,
        names.SERVICE_INSTANCE_ID: INSTANCE,
    }
    return Resource(attributes=[_attribute(name, value) for name, value in attributes.items()])


def _attribute(name: str, value: str) -> KeyValue:
    return KeyValue(key=name, value=AnyValue(string_value=value))


def _span(probe: Probe) -> Span:
    return Span(
        trace_id=probe.trace_id,
        span_id=probe.span_id,
        name=names.DOCTOR_SPAN,
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=probe.made_ns,
        end_time_unix_nano=probe.made_ns + DURATION_NS,
        flags=1,
    )


def _record(probe: Probe) -> LogRecord:
    return LogRecord(
        time_unix_nano=probe.made_ns,
        observed_time_unix_nano=probe.made_ns,
        severity_number=SeverityNumber.SEVERITY_NUMBER_INFO,
        severity_text="INFO",
        body=AnyValue(string_value=probe.text),
        event_name=names.DOCTOR_LOG,
        trace_id=probe.trace_id,
        span_id=probe.span_id,
        flags=1,
    )


def _metric(probe: Probe) -> Metric:
    point = NumberDataPoint(time_unix_nano=probe.made_ns, as_int=probe.value)
    definition = metric_definitions.DOCTOR_PROBE
    return Metric(
        name=definition.name,
        description=definition.description,
        unit=definition.unit,
        gauge=Gauge(data_points=[point]),
    )
