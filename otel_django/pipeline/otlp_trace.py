"""Spans as OTLP: ``ExportTraceServiceRequest`` (opentelemetry/proto/collector/trace/v1), by hand.

Reads the slots that ``otel_django.tracing.span.Span`` has and imports neither it nor OpenTelemetry.
Any number of threads may encode at once.
"""

from __future__ import annotations

import struct
from copy import copy
from time import perf_counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from otel_django.pipeline.otlp_frames import UINT64, UINT128, Groups, count, nearest_time, text
from otel_django.pipeline.pace import WORK_PER_LOOK, Pace, no_pause
from otel_django.pipeline.protobuf import KeyValues, field, join, varint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class SharedLike(Protocol):
    """Attributes of many spans; ``encoded`` is for us to fill."""

    values: dict[str, Any]
    encoded: bytes | None


class SpanLike(Protocol):
    """What is read of a span: contexts as ``SpanContext``, times in nanoseconds since the epoch.

    Its attributes are its own and, where it has any, the ``_shared`` ones, of other keys.
    ``_origin`` begins with resource and scope; ``_rare`` is None or has ``events``, ``links``,
    ``export_state`` and the counts of what was dropped.
    """

    _name: str
    _context: Any
    _kind: Any
    _parent: Any
    _start_time: Any
    _end_time: Any
    _own: Any
    _shared: Any
    _status: Any
    _origin: Any
    _rare: Any


# Tags of trace.proto's fields that have a length; those of fixed size are in the structs.
_SPAN: Final = b"\x12"
_TRACE_STATE: Final = b"\x1a"
_NAME: Final = b"\x2a"
_EVENT: Final = b"\x5a"
_LINK: Final = b"\x6a"
_STATUS: Final = b"\x7a"
_STATUS_MESSAGE: Final = b"\x12"
_EVENT_NAME: Final = b"\x12"

# Tags of varint fields.
_STATUS_CODE: Final = b"\x18"
_DROPPED_ATTRIBUTES: Final = b"\x50"
_DROPPED_EVENTS: Final = b"\x60"
_DROPPED_LINKS: Final = b"\x70"
_EVENT_DROPPED_ATTRIBUTES: Final = b"\x20"
_LINK_DROPPED_ATTRIBUTES: Final = b"\x28"

_HAS_IS_REMOTE: Final = 0x100
_IS_REMOTE: Final = 0x200

# Ids are big-endian: trace_id (1), span_id (2), and a child's parent_span_id (4).
_ROOT_IDS: Final = struct.Struct(">H16sHQ").pack
_CHILD_IDS: Final = struct.Struct(">H16sHQHQ").pack
# Numbers are little-endian: kind (6), start (7), end (8), flags (16).
_NUMBERS: Final = struct.Struct("<BBBQBQHI").pack
_EVENT_TIME: Final = struct.Struct("<BQ").pack  # time_unix_nano (1)
_LINK_FLAGS: Final = struct.Struct("<BI").pack  # flags (6)

_span_attributes = KeyValues(9)
_event_attributes = KeyValues(3)
_link_attributes = KeyValues(4)


class _Names(dict[str, bytes]):
    """Ready-made ``name`` fields of short names, 512 at most."""

    def __missing__(self, name: str) -> bytes:
        encoded = text(_NAME, name, Pace(no_pause, perf_counter))
        if len(self) >= 512:
            self.clear()
        self[name] = encoded
        return encoded


_names = _Names()


class _SpanHeads(dict[int, bytes]):
    """Tag and length of a span of so many bytes, for the lengths most have."""

    def __missing__(self, size: int) -> bytes:
        head = _SPAN + varint(size)
        if size < 2_048:
            self[size] = head
        return head


_span_heads = _SpanHeads()


class _Seen:
    """What the span before had, and how it was written: mostly the next one has the same."""

    __slots__ = (
        "status",
        "status_field",
        "trace_id",
        "trace_id_bytes",
        "trace_state",
        "trace_state_field",
    )

    def __init__(self) -> None:
        self.trace_id: object = None
        self.trace_id_bytes = b""
        self.status: object = None
        self.status_field = b""
        self.trace_state: object = None
        self.trace_state_field = b""


def encode_request(
    spans: Iterable[SpanLike],
    pause: Callable[[], object] = no_pause,
    *,
    failed: Callable[[Exception], object] | None = None,
    clock: Callable[[], float] = perf_counter,
) -> bytes:
    """An ``ExportTraceServiceRequest`` of ``spans``, grouped by equal resource and equal scope.

    ``pause`` is called at least every 0.25 ms of work. A span that can't be encoded is left out
    and its error given to ``failed``; without ``failed`` the error is raised.
    """
    pace = Pace(pause, clock)
    groups = Groups(pace)
    seen = _Seen()
    origin: object = groups
    add = list[bytes]().append
    left = WORK_PER_LOOK
    for span in spans:
        try:
            try:
                body = _encode_span(span, pace, seen)
            except RuntimeError:  # a third party's thread still writes its attributes
                body = _encode_span(_still(span), pace, seen)
        except Exception as error:
            if failed is None:
                raise
            failed(error)
            continue
        if span._origin is not origin:
            origin = span._origin
            add = groups.items_of(span._origin[0], span._origin[1]).append
        add(_span_heads[len(body)])
        add(body)
        left -= 3 + len(span._own)
        if left <= 0:
            pace.look()
            left = WORK_PER_LOOK
    return groups.message()


def _still(span: SpanLike) -> SpanLike:
    """A copy whose attributes nobody else can reach."""
    still = copy(span)
    still._own = dict(span._own)
    return still


def _encode_span(span: SpanLike, pace: Pace, seen: _Seen) -> bytes:
    context = span._context
    rare = span._rare
    trace_id = context[0]
    if trace_id is not seen.trace_id:
        seen.trace_id_bytes = (trace_id & UINT128).to_bytes(16, "big")
        seen.trace_id = trace_id
    state = context[4] if rare is None or rare.export_state is None else rare.export_state
    if state is not seen.trace_state:
        seen.trace_state_field = _trace_state(state, pace)
        seen.trace_state = state
    status = span._status
    if status is not seen.status:
        seen.status_field = _status(status, pace)
        seen.status = status
    name = span._name
    shared = span._shared
    own = span._own
    parent = span._parent
    flags = context[3] & 0xFF | _HAS_IS_REMOTE
    if parent is not None and parent[2]:
        flags |= _IS_REMOTE
    try:
        parts = (
            _ROOT_IDS(0xA10, seen.trace_id_bytes, 0x1208, context[1])
            if parent is None
            else _CHILD_IDS(0xA10, seen.trace_id_bytes, 0x1208, context[1], 0x2208, parent[1]),
            _names[name] if len(name) <= 256 else text(_NAME, name, pace),
            _NUMBERS(
                0x30, span._kind._value_ + 1,
                0x39, span._start_time,
                0x41, span._end_time,
                0x185, flags,
            ),
            seen.trace_state_field,
            b"" if shared is None else shared.encoded or _encode_shared(shared, pace),
            _span_attributes.encode(own, pace) if own else b"",
            b"" if rare is None else _rare(rare, pace),
            seen.status_field,
        )  # fmt: skip
    except struct.error:
        if isinstance(span, SimpleNamespace):
            raise
        return _encode_span(_tamed(span), pace, seen)
    return join(parts, pace) if pace.met_large else b"".join(parts)


def _encode_shared(shared: SharedLike, pace: Pace) -> bytes:
    shared.encoded = encoded = _span_attributes.encode(shared.values, pace)
    return encoded


def _tamed(span: SpanLike) -> SpanLike:
    """A copy with numbers that fit: a start was given in float seconds, a span hasn't ended."""
    context, parent = span._context, span._parent
    copy = SimpleNamespace(**{name: getattr(span, name) for name in SpanLike.__annotations__})
    copy._context = (context[0], context[1] & UINT64, *context[2:])
    copy._parent = parent and (parent[0], parent[1] & UINT64, parent[2])
    copy._start_time = nearest_time(span._start_time)
    copy._end_time = nearest_time(span._end_time)
    return cast("SpanLike", copy)


def _rare(rare: Any, pace: Pace) -> bytes:
    """Events, links and the counts of what the limits left out."""
    parts = []
    for event in rare.events or ():
        parts.append(field(_EVENT, _event(event, pace), pace))
        pace.spend(3)
    for link in rare.links or ():
        parts.append(field(_LINK, _link(link, pace), pace))
        pace.spend(3)
    parts.append(count(_DROPPED_ATTRIBUTES, rare.dropped_attributes))
    parts.append(count(_DROPPED_EVENTS, rare.dropped_events))
    parts.append(count(_DROPPED_LINKS, rare.dropped_links))
    return join(parts, pace)


def _event(event: Any, pace: Pace) -> bytes:
    try:
        time = _EVENT_TIME(0x09, event.timestamp)
    except struct.error:
        time = _EVENT_TIME(0x09, nearest_time(event.timestamp))
    parts = (
        time,
        text(_EVENT_NAME, event.name, pace),
        _event_attributes.encode(event._attributes or {}, pace),
        count(_EVENT_DROPPED_ATTRIBUTES, event.dropped_attributes),
    )
    return join(parts, pace)


def _link(link: Any, pace: Pace) -> bytes:
    context = link.context
    flags = context[3] & 0xFF | _HAS_IS_REMOTE | (_IS_REMOTE if context[2] else 0)
    parts = (
        b"\x0a\x10" + (context[0] & UINT128).to_bytes(16, "big"),
        b"\x12\x08" + (context[1] & UINT64).to_bytes(8, "big"),
        _trace_state(context[4], pace),
        _link_attributes.encode(link._attributes or {}, pace),
        count(_LINK_DROPPED_ATTRIBUTES, link.dropped_attributes),
        _LINK_FLAGS(0x35, flags),
    )
    return join(parts, pace)


def _trace_state(state: Mapping[str, str] | None, pace: Pace) -> bytes:
    """Field 3, of spans and links both, in the form of the W3C header; nothing for an empty one."""
    if not state:
        return b""
    return text(_TRACE_STATE, ",".join([f"{key}={value}" for key, value in state.items()]), pace)


def _status(status: Any, pace: Pace) -> bytes:
    message = text(_STATUS_MESSAGE, status.description, pace) if status.description else b""
    return field(_STATUS, message + count(_STATUS_CODE, status.status_code.value), pace)
