"""Spans of OTLP as what the store reads of a span."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from otel_django.receiver.decoding_conventions import renewed
from otel_django.receiver.decoding_groups import Unfit
from otel_django.receiver.decoding_values import attributes, cut, id_of, name_of, trace_state_of
from otel_django.tracing.span import Event, Link

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage

    from otel_django.metric_points import Scope
    from otel_django.receiver.decoding_values import Resource

MAX_EVENTS: Final = 1_000
MAX_LINKS: Final = 1_000
AVERAGE_BYTES: Final = 2_048
_HAS_IS_REMOTE: Final = 0x100
_IS_REMOTE: Final = 0x200
_KINDS: Final = (SpanKind.INTERNAL, *SpanKind)
"""By OTLP's numbers; 0 is unspecified."""
_CALLED: Final = (SpanKind.SERVER, SpanKind.CONSUMER)
_STATUSES: Final = {code.value: Status(code) for code in StatusCode}
_UNSET: Final = _STATUSES[0]


class ReceivedSpan:
    """A ``store.span_like.SpanLike``."""

    __slots__ = (
        "_context",
        "_dropped_attributes",
        "_dropped_events",
        "_dropped_links",
        "_end_time",
        "_events",
        "_instrumentation_scope",
        "_kind",
        "_large_bytes",
        "_links",
        "_name",
        "_own",
        "_parent",
        "_resource",
        "_start_time",
        "_status",
    )
    _shared: Any = None
    _export_state: Any = None
    _context: SpanContext
    _parent: SpanContext | None
    _name: str
    _kind: SpanKind
    _start_time: int
    _end_time: int
    _status: Status
    _own: dict[str, Any]
    _events: Sequence[Event]
    _links: Sequence[Link]
    _dropped_attributes: int
    _dropped_events: int
    _dropped_links: int
    _large_bytes: int
    _resource: Resource
    _instrumentation_scope: Scope

    @property
    def _attributes(self) -> dict[str, Any]:
        return self._own


def span(message: SpanMessage, resource: Resource, scope: Scope) -> ReceivedSpan:
    """Unfit where its ids aren't any."""
    made = ReceivedSpan()
    trace_id, span_id = id_of(message.trace_id, 16), id_of(message.span_id, 8)
    if not trace_id:
        raise Unfit("the trace id is not 16 bytes, or all zeros")
    if not span_id:
        raise Unfit("the span id is not 8 bytes, or all zeros")
    number, flags = message.kind, message.flags
    kind = made._kind = _KINDS[number] if 0 <= number < len(_KINDS) else SpanKind.INTERNAL
    state = trace_state_of(message.trace_state)
    made._context = SpanContext(trace_id, span_id, False, TraceFlags(flags & 0xFF), state)
    made._parent = _parent(message.parent_span_id, trace_id, kind, flags)
    made._name = name_of(message.name)
    made._start_time = message.start_time_unix_nano
    made._end_time = message.end_time_unix_nano
    made._status = _status(message) if message.HasField("status") else _UNSET
    own, dropped = attributes(message.attributes)
    made._own = renewed(own, kind)
    made._dropped_attributes = message.dropped_attributes_count + dropped
    made._events, made._links = _events(message), _links(message)
    made._dropped_events = message.dropped_events_count + len(message.events) - len(made._events)
    made._dropped_links = message.dropped_links_count + len(message.links) - len(made._links)
    made._large_bytes = max(0, message.ByteSize() - AVERAGE_BYTES)
    made._resource, made._instrumentation_scope = resource, scope
    return made


def _parent(found: bytes, trace_id: int, kind: SpanKind, flags: int) -> SpanContext | None:
    """What doesn't say whether its parent is in another process: that depends on the kind."""
    if not found.strip(b"\0"):
        return None
    span_id = id_of(found, 8)
    if not span_id:
        raise Unfit("the parent's span id is not 8 bytes")
    remote = bool(flags & _IS_REMOTE) if flags & _HAS_IS_REMOTE else kind in _CALLED
    return SpanContext(trace_id, span_id, remote)


def _status(message: SpanMessage) -> Status:
    code, told = message.status.code, message.status.message
    if code == StatusCode.ERROR.value and told:
        return Status(StatusCode.ERROR, cut(told))
    return _STATUSES.get(code, _UNSET)


def _events(message: SpanMessage) -> Sequence[Event]:
    if not message.events:
        return ()
    found = []
    for each in message.events[:MAX_EVENTS]:
        own, dropped = attributes(each.attributes)
        dropped += each.dropped_attributes_count
        found.append(Event(name_of(each.name), own, each.time_unix_nano, dropped))
    return found


def _links(message: SpanMessage) -> Sequence[Link]:
    """Those of spans: a link without ids leads nowhere."""
    if not message.links:
        return ()
    found = []
    for each in message.links[:MAX_LINKS]:
        trace_id, span_id = id_of(each.trace_id, 16), id_of(each.span_id, 8)
        if trace_id and span_id:
            own, dropped = attributes(each.attributes)
            state, flags = trace_state_of(each.trace_state), TraceFlags(each.flags & 0xFF)
            remote = bool(each.flags & _IS_REMOTE)
            context = SpanContext(trace_id, span_id, remote, flags, state)
            found.append(Link(context, own, dropped + each.dropped_attributes_count))
    return found
