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
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord as LogMessage
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric as MetricMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage

from otel_django.clock import SYSTEM_CLOCK, Clock
from otel_django.metric_points import ResourceMetrics
from otel_django.receiver import decoding_json, decoding_protobuf
from otel_django.receiver.decoded import Decoded, DecodeError, Signal
from otel_django.receiver.decoding_groups import Group, Refusals, Unfit
from otel_django.receiver.decoding_logs import record
from otel_django.receiver.decoding_metrics import metrics
from otel_django.receiver.decoding_spans import ReceivedSpan, span
from otel_django.store.rows import work_s

if TYPE_CHECKING:
    from otel_django.log_record import LogRecord

MAX_WORK_S: Final = 1.0
"""Of the processor's time: small items can hold very many values, and all other senders wait."""
MAX_ITEMS: Final = 50_000
"""To write them takes about as long again."""
_NOUNS: Final[dict[Signal, str]] = {
    "traces": "span",
    "metrics": "data point",
    "logs": "log record",
}
_ENCODINGS: Final = {
    "application/x-protobuf": decoding_protobuf.groups,
    "application/json": decoding_json.groups,
}


def decode(signal: Signal, content_type: str, body: bytes, clock: Clock = SYSTEM_CLOCK) -> Decoded:
    """What an export request of ``signal`` holds; DecodeError where it isn't one.

    Any number of threads may decode at once.
    """
    groups = _ENCODINGS.get(content_type.partition(";")[0].strip().lower())
    if groups is None:
        raise DecodeError(f"not an encoding of OTLP: {content_type[:100]}")
    request = _Request(clock.now_ns(), Refusals(_NOUNS[signal]))
    if signal == "traces":
        spans = [one for group in groups(body, SpanMessage) for one in request.spans(group)]
        return request.decoded(Decoded(spans=spans))
    if signal == "metrics":
        points = [one for group in groups(body, MetricMessage) for one in request.points(group)]
        return request.decoded(Decoded(points=points))
    records = [one for group in groups(body, LogMessage) for one in request.records(group)]
    return request.decoded(Decoded(records=records))


class _Request:
    """One that is being decoded."""

    def __init__(self, now_ns: int, refusals: Refusals) -> None:
        self._now_ns = now_ns
        self._refusals = refusals
        self._items = 0
        self._end_s = work_s() + MAX_WORK_S

    def decoded(self, found: Decoded) -> Decoded:
        """With what isn't kept."""
        refusals = self._refusals
        return replace(found, rejected=refusals.count, message=refusals.message)

    def spans(self, group: Group) -> Iterator[ReceivedSpan]:
        """Of a group."""
        for message in self._fit(group):
            try:
                yield span(message, group.resource, group.scope)
            except Unfit as why:
                self._refusals.add(why)

    def points(self, group: Group) -> Iterator[ResourceMetrics]:
        """Of a group, which is one; none for nothing."""
        found = []
        for message in self._fit(group):
            for metric in metrics(message, group.scope, self._now_ns, self._refusals):
                self._count(len(metric.points) - 1)  # it is one item itself
                found.append(metric)
        if found:
            yield ResourceMetrics(group.resource.attributes, tuple(found))

    def records(self, group: Group) -> Iterator[LogRecord]:
        """Of a group."""
        for message in self._fit(group):
            yield record(message, group.resource, group.scope, self._now_ns)

    def _fit(self, group: Group) -> Iterator[Any]:
        self._check_time()
        for item in group.items:
            self._check_time()
            self._count(1)
            if isinstance(item, Unfit):
                self._refusals.add(item)
            else:
                yield item

    def _count(self, more: int) -> None:
        self._items += more
        if self._items > MAX_ITEMS:
            raise DecodeError(f"more than {MAX_ITEMS:,} items: send smaller batches")

    def _check_time(self) -> None:
        if work_s() > self._end_s:
            raise DecodeError("it takes too long to read: send smaller batches")
