"""Values, attributes, resources and scopes of OTLP's messages, made plain and kept within limits.

What is cut says so: a text ends in ``…``, a list has a last ``…``, a mapping a last key ``…``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.trace import TraceState

from otel_django import names
from otel_django.metric_points import Attributes, Scope
from otel_django.pipeline.protobuf import MAX_DEPTH, TOO_DEEP
from otel_django.store.json_text import dumps

MAX_CHARACTERS: Final = 65_536
MAX_NAME_CHARACTERS: Final = 1_024
MAX_RESOURCE_CHARACTERS: Final = 4_096
MAX_ATTRIBUTES: Final = 1_000
MAX_ELEMENTS: Final = 1_000
CUT: Final = "…"
UNKNOWN_SERVICE: Final = "unknown_service"
_SMALL_BYTES: Final = 16_384
_SCALARS: Final = (str, bool, int, float)


class Resource(NamedTuple):
    """Who sent something; equal ones are mostly one object."""

    attributes: dict[str, Any]


def cut(text: str, limit: int = MAX_CHARACTERS) -> str:
    """``text``, or its beginning with a mark."""
    return text if len(text) <= limit else text[: limit - 1] + CUT


def name_of(text: str) -> str:
    """A name or a key, within its limit."""
    return cut(text, MAX_NAME_CHARACTERS)


def attributes(found: Sequence[KeyValue]) -> tuple[dict[str, Any], int]:
    """The first thousand, and how many more there were."""
    taken = found if len(found) <= MAX_ATTRIBUTES else found[:MAX_ATTRIBUTES]
    return {name_of(each.key): value(each.value) for each in taken}, len(found) - len(taken)


def value(found: AnyValue, depth: int = 0) -> Any:
    """As the encoder's counterpart (``pipeline.protobuf``): the empty value is None."""
    kind = found.WhichOneof("value")
    if kind == "string_value":
        text = found.string_value
        return text if len(text) <= MAX_CHARACTERS else cut(text)
    if kind in _PLAIN:
        return getattr(found, kind)
    if kind == "bytes_value":
        return found.bytes_value[:MAX_CHARACTERS]
    if kind == "array_value":
        return TOO_DEEP if depth == MAX_DEPTH else _elements(found.array_value.values, depth + 1)
    if kind == "kvlist_value":
        return TOO_DEEP if depth == MAX_DEPTH else _mapping(found.kvlist_value.values, depth + 1)
    return None


_PLAIN: Final = frozenset({"int_value", "bool_value", "double_value"})


def _elements(found: Sequence[AnyValue], depth: int) -> list[Any]:
    plain = [value(each, depth) for each in found[:MAX_ELEMENTS]]
    return plain if len(found) <= MAX_ELEMENTS else [*plain, CUT]


def _mapping(found: Sequence[KeyValue], depth: int) -> dict[str, Any]:
    plain = {name_of(each.key): value(each.value, depth) for each in found[:MAX_ELEMENTS]}
    return plain if len(found) <= MAX_ELEMENTS else {**plain, CUT: CUT}


def labels(found: Sequence[KeyValue]) -> Attributes:
    """Attributes of a series: what neither is plain nor a list of plain values becomes JSON."""
    plain, _ = attributes(found)
    return tuple(sorted((key, _label(each)) for key, each in plain.items()))


def _label(found: Any) -> Any:
    if found is None or isinstance(found, _SCALARS):
        return found
    if isinstance(found, list) and all(isinstance(each, _SCALARS) for each in found):
        return tuple(found)
    return dumps(found)


# --- who sent it


def resource_of(encoded: bytes) -> Resource:
    """Of a ``Resource`` message; ValueError where it isn't one."""
    return (_resource if len(encoded) <= _SMALL_BYTES else _resource.__wrapped__)(encoded)


def scope_of(encoded: bytes, schema_url: str) -> Scope:
    """Of an ``InstrumentationScope`` message; ValueError where it isn't one."""
    known = len(encoded) + len(schema_url) <= _SMALL_BYTES
    return (_scope if known else _scope.__wrapped__)(encoded, schema_url)


@lru_cache(maxsize=128)
def _resource(encoded: bytes) -> Resource:
    message = resource_pb2.Resource()
    message.MergeFromString(encoded)
    found = {key: _short(each) for key, each in attributes(message.attributes)[0].items()}
    if not found.get(names.SERVICE_NAME):
        found[names.SERVICE_NAME] = UNKNOWN_SERVICE
    return Resource(found)


@lru_cache(maxsize=128)
def _scope(encoded: bytes, schema_url: str) -> Scope:
    message = InstrumentationScope()
    message.MergeFromString(encoded)
    name, version = name_of(message.name), name_of(message.version)
    return Scope(name, version, name_of(schema_url), labels(message.attributes))


def _short(found: Any) -> Any:
    """Each item is stored with all of its resource."""
    if isinstance(found, str):
        return cut(found, MAX_RESOURCE_CHARACTERS)
    if isinstance(found, bytes | list | Mapping):
        text = dumps(found)
        return found if len(text) <= MAX_RESOURCE_CHARACTERS else cut(text, MAX_RESOURCE_CHARACTERS)
    return found


# --- of traces


def id_of(found: bytes, size: int) -> int:
    """A trace's id (16 bytes) or a span's (8); 0 where it isn't one."""
    return int.from_bytes(found, "big") if len(found) == size else 0


def trace_state_of(header: str) -> TraceState | None:
    """As the W3C's header has it; None for an empty one. What is malformed is left out."""
    return _trace_state(header) if header and len(header) <= MAX_NAME_CHARACTERS else None


_trace_state = lru_cache(maxsize=256)(lambda header: TraceState.from_header([header]))
