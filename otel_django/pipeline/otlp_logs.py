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
from otel_django.pipeline.protobuf import KeyValues, any_value, field, join, varint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from otel_django.log_record import LogRecord

# Tags of logs.proto's fields that have a length; those of fixed size are in the structs.
_SEVERITY_TEXT: Final = b"\x1a"
_BODY: Final = b"\x2a"
_TRACE_ID: Final = b"\x4a"
_SPAN_ID: Final = b"\x52"
_EVENT_NAME: Final = b"\x62"
_DROPPED_ATTRIBUTES: Final = b"\x38"

# Numbers are little-endian: time (1), severity (2), flags (8), observed time (11).
_NUMBERS: Final = struct.Struct("<BQBBBIBQ").pack
_LARGEST_SEVERITY: Final = 24

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
    for record in records:
        try:
            body = _record(record, pace)
        except Exception as error:
            if failed is None:
                raise
            failed(error)
            continue
        name = (record.scope_name, record.scope_version)
        scope = scopes.get(name) or scopes.setdefault(name, _Scope(*name))
        items = groups.items_of(record.resource, scope)
        items.append(ITEM + varint(len(body)))
        items.append(body)
        pace.spend(3 + len(record.attributes))
    return groups.message()


def _record(record: LogRecord, pace: Pace) -> bytes:
    attributes = record.attributes
    parts = (
        _numbers(record),
        text(_SEVERITY_TEXT, record.severity_text, pace),
        field(_BODY, any_value(record.body, pace), pace),
        _attributes.encode(attributes, pace) if attributes else b"",
        count(_DROPPED_ATTRIBUTES, record.dropped_attributes),
        _id(_TRACE_ID, record.trace_id & UINT128, 16),
        _id(_SPAN_ID, record.span_id & UINT64, 8),
        text(_EVENT_NAME, record.event_name, pace),
    )
    return join(parts, pace)


def _numbers(record: LogRecord) -> bytes:
    severity = record.severity_number
    return _NUMBERS(
        0x09, nearest_time(record.time_ns),
        0x10, severity if 0 <= severity <= _LARGEST_SEVERITY else 0,
        0x45, record.trace_flags & 0xFF,
        0x59, nearest_time(record.observed_ns),
    )  # fmt: skip


def _id(tag: bytes, number: int, size: int) -> bytes:
    return tag + varint(size) + number.to_bytes(size, "big") if number else b""
