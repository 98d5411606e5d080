"""Requests of OTLP as what the embedded store's sinks take.

::

    bytes → decoding_protobuf ┐                                      ┌ decoding_spans
                              ├ groups of messages, item by item → ──┼ decoding_metrics
    JSON  → decoding_json     ┘   (values: decoding_values)          └ decoding_logs

What can't be kept is counted, item by item; only what is no request at all is a ``DecodeError``.
Values stay as they were sent: redaction is the sender's. Metrics may be deltas: see
``decoding_deltas``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord as LogRecordMessage
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric as MetricMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage

from otel_django.clock import SYSTEM_CLOCK, Clock
from otel_django.metric_points import ResourceMetrics
from otel_django.receiver import decoding_json, decoding_protobuf
from otel_django.receiver.decoded import Decoded, DecodeError, Signal
from otel_django.receiver.decoding_groups import Group, Refusals, Unfit
from otel_django.receiver.decoding_logs import record
from otel_django.receiver.decoding_metrics import metrics
from otel_django.receiver.decoding_spans import span

_ENCODINGS: Final = {
    "application/x-protobuf": decoding_protobuf.groups,
    "application/json": decoding_json.groups,
}


def decode(signal: Signal, content_type: str, body: bytes, clock: Clock = SYSTEM_CLOCK) -> Decoded:
    """What an export request of ``signal`` holds; DecodeError where it isn't one.

    Any number of threads may decode at once.
    """
    read = _ENCODINGS.get(content_type.partition(";")[0].strip().lower())
    if read is None:
        raise DecodeError(f"not an encoding of OTLP: {content_type[:100]}")
    kind, noun, convert = _SIGNALS[signal]
    refusals = Refusals(noun)
    found = [item for group in read(body, kind) for item in convert(group, clock, refusals)]
    return Decoded(**{_FIELDS[signal]: found}, rejected=refusals.count, message=refusals.message)


def _spans(group: Group, clock: Clock, refusals: Refusals) -> Iterator[Any]:
    for message in _fit(group, refusals):
        try:
            yield span(message, group.resource, group.scope)
        except Unfit as why:
            refusals.add(why)


def _records(group: Group, clock: Clock, refusals: Refusals) -> Iterator[Any]:
    now_ns = clock.now_ns()
    for message in _fit(group, refusals):
        yield record(message, group.resource, group.scope, now_ns)


def _points(group: Group, clock: Clock, refusals: Refusals) -> Iterator[Any]:
    now_ns = clock.now_ns()
    found = [
        metric
        for message in _fit(group, refusals)
        for metric in metrics(message, group.scope, now_ns, refusals)
    ]
    if found:
        yield ResourceMetrics(group.resource.attributes, tuple(found))


def _fit(group: Group, refusals: Refusals) -> Iterator[Any]:
    for item in group.items:
        if isinstance(item, Unfit):
            refusals.add(item)
        else:
            yield item


_SIGNALS: Final[dict[Signal, Any]] = {
    "traces": (SpanMessage, "span", _spans),
    "metrics": (MetricMessage, "data point", _points),
    "logs": (LogRecordMessage, "log record", _records),
}
_FIELDS: Final[dict[Signal, str]] = {"traces": "spans", "metrics": "points", "logs": "records"}
