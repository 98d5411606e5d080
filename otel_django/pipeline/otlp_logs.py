"""Log records as OTLP: ``ExportLogsServiceRequest`` (opentelemetry/proto/logs/v1), by hand.

Any number of threads may encode at once.
"""

from __future__ import annotations

import struct
from time import perf_counter
from typing import TYPE_CHECKING, Final, NamedTuple

from otel_django.pipeline.otlp_frames import (
    ITEM,
    UINT64,
    UINT128,
    Groups,
    count,
    nearest_time,
    text,
)
from otel_django.pipeline.pace import Pace, no_pause
from otel_django.pipeline.protobuf import (
    LARGE,
    STRING_VALUE,
    KeyValues,
    any_value,
    field,
    join,
    varint,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from otel_django.log_record import LogRecord

# Tags of logs.proto's fields that have a length; those of fixed size are in the structs.
_SEVERITY_TEXT: Final = b"\x1a"
_BODY: Final = b"\x2a"
_EVENT_NAME: Final = b"\x62"
_DROPPED_ATTRIBUTES: Final = b"\x38"

# Numbers are little-endian: time (1), severity (2), flags (8), observed time (11).
_NUMBERS: Final = struct.Struct("<BQBBBIBQ").pack
# Ids are big-endian: trace_id (9), span_id (10).
_IDS: Final = struct.Struct(">H16sHQ").pack
_TRACE_ID: Final = b"\x4a\x10"
_SPAN_ID: Final = b"\x52\x08"
_LARGEST_SEVERITY: Final = 24
_SHORT: Final = 256

_attributes = KeyValues(6)


class _Scope(NamedTuple):
    name: str
    version: str
    schema_url: str = ""
    attributes: None = None


def encode_request(
    records: Iterable[LogRecord],
    pause: Callable[[], object] = no_pause,
    *,
    failed: Callable[[Exception], object] | None = None,
    clock: Callable[[], float] = perf_counter,
) -> bytes:
    """An ``ExportLogsServiceRequest`` of ``records``, grouped by equal resource and equal scope.

    ``pause`` is called at least every 0.25 ms of work. A record that can't be encoded is left out
    and its error given to ``failed``; without ``failed`` the error is raised.
    """
    pace = Pace(pause, clock)
    groups = Groups(pace)
    scopes: dict[tuple[str, str], _Scope] = {}
    resource: object = groups
    name: object = None
    items: list[bytes] = []
    for record in records:
        try:
            body = _record(record, pace)
        except Exception as error:
            if failed is None:
                raise
            failed(error)
            continue
        if (record.scope_name, record.scope_version) != name or record.resource is not resource:
            name = (record.scope_name, record.scope_version)
            resource = record.resource
            scope = scopes.setdefault(name, _Scope(*name))
            items = groups.items_of(resource, scope)
        items.append(ITEM + varint(len(body)))
        items.append(body)
        pace.spend(4 + len(record.attributes))
    return groups.message()


def _record(record: LogRecord, pace: Pace) -> bytes:
    body = record.body
    attributes = record.attributes
    event_name = record.event_name
    short = type(body) is str and len(body) <= _SHORT and body.isascii()
    parts = (
        _numbers(record),
        _severities[record.severity_text],
        _short_bodies[len(body)] if short else _BODY,
        body.encode() if short else _sized(any_value(body, pace), pace),
        _attributes.encode(attributes, pace) if attributes else b"",
        count(_DROPPED_ATTRIBUTES, record.dropped_attributes) if record.dropped_attributes else b"",
        _ids(record.trace_id, record.span_id),
        text(_EVENT_NAME, event_name, pace) if event_name else b"",
    )
    return join(parts, pace) if pace.met_large or len(parts[3]) > LARGE else b"".join(parts)


def _sized(content: bytes, pace: Pace) -> bytes:
    """A field's length and content."""
    return field(b"", content, pace)


# What comes before the text in ``body``, by the text's length.
_short_bodies: Final = tuple(
    _BODY + varint(1 + len(varint(size)) + size) + STRING_VALUE + varint(size)
    for size in range(_SHORT + 1)
)


class _Severities(dict[str, bytes]):
    """Ready-made ``severity_text`` fields, 32 at most."""

    def __missing__(self, severity: str) -> bytes:
        encoded = text(_SEVERITY_TEXT, severity, Pace(no_pause, perf_counter))
        if len(self) >= 32:
            self.clear()
        self[severity] = encoded
        return encoded


_severities = _Severities()


def _numbers(record: LogRecord) -> bytes:
    severity = record.severity_number
    if not 0 <= severity <= _LARGEST_SEVERITY:
        severity = 0
    flags = record.trace_flags & 0xFF
    try:
        return _NUMBERS(0x09, record.time_ns, 0x10, severity, 0x45, flags, 0x59, record.observed_ns)
    except struct.error:
        time_ns, observed_ns = nearest_time(record.time_ns), nearest_time(record.observed_ns)
        return _NUMBERS(0x09, time_ns, 0x10, severity, 0x45, flags, 0x59, observed_ns)


_last_ids: tuple[int, int, bytes] = (0, 0, b"")


def _ids(trace_id: int, span_id: int) -> bytes:
    """Both ids; records of one span often follow each other."""
    global _last_ids
    last_trace, last_span, encoded = _last_ids
    if span_id != last_span or trace_id != last_trace:
        encoded = _encoded_ids(trace_id, span_id)
        _last_ids = (trace_id, span_id, encoded)
    return encoded


def _encoded_ids(trace_id: int, span_id: int) -> bytes:
    if trace_id and span_id:
        trace = (trace_id & UINT128).to_bytes(16, "big")
        return _IDS(0x4A10, trace, 0x5208, span_id & UINT64)
    if trace_id:
        return _TRACE_ID + (trace_id & UINT128).to_bytes(16, "big")
    return _SPAN_ID + (span_id & UINT64).to_bytes(8, "big") if span_id else b""
