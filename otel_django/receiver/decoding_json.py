"""Requests of OTLP in JSON, item by item, as the messages protobuf has for them.

Keys are those of the JSON mapping, lowerCamelCase (or protobuf's own); ids are hexadecimal, in
either case; 64-bit integers texts or numbers; enumerations numbers or names; other bytes Base64.
What is unknown is ignored.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Hashable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from google.protobuf.descriptor import FieldDescriptor
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_django.pipeline.protobuf import MAX_DEPTH
from otel_django.receiver.decoded import DecodeError
from otel_django.receiver.decoding_groups import Group, Unfit
from otel_django.receiver.decoding_values import resource_of, scope_of
from otel_django.store.json_text import clean_text, loads

if TYPE_CHECKING:
    from google.protobuf.message import Message

MAX_CONTAINERS: Final = 1_000_000
MAX_COMMAS: Final = 4_000_000
TOO_MANY: Final = "too many values: send smaller batches"
_KEYS: Final = {
    Span: ("resourceSpans", "scopeSpans", "spans"),
    Metric: ("resourceMetrics", "scopeMetrics", "metrics"),
    LogRecord: ("resourceLogs", "scopeLogs", "logRecords"),
}
_METRIC_DATA: Final = ("gauge", "sum", "histogram", "exponentialHistogram", "summary")
_IDS: Final = frozenset({"trace_id", "span_id", "parent_span_id"})
_ANY_VALUE: Final = AnyValue.DESCRIPTOR.full_name
Json = dict[str, Any]


def groups(body: bytes, kind: type[Message]) -> Iterator[Group]:
    """The items of an export request, messages of ``kind``; DecodeError where it is none."""
    resources, scopes, items = _KEYS[kind]
    for of_resource in _objects(_request(body), resources):
        for of_scope in _objects(of_resource, scopes):
            held = _objects(of_scope, items)
            try:
                schema_url = of_scope.get("schemaUrl")
                resource = resource_of(_encoded(Resource(), of_resource.get("resource")))
                scope = scope_of(
                    _encoded(InstrumentationScope(), of_scope.get("scope")),
                    clean_text(schema_url) if isinstance(schema_url, str) else "",
                )
            except Unfit as why:
                unfit = [why for item in held for _ in _points(item)]
                yield Group(resource_of(b""), scope_of(b"", ""), iter(unfit))
            else:
                yield Group(resource, scope, _messages(held, kind))


def _request(body: bytes) -> Json:
    if body.count(b"{") + body.count(b"[") > MAX_CONTAINERS or body.count(b",") > MAX_COMMAS:
        raise DecodeError(TOO_MANY)
    try:
        found = loads(body)
    except ValueError:
        found = _with_surrogates(body)
    if not isinstance(found, dict):
        raise DecodeError("not an OTLP request: not a JSON object")
    return found


def _with_surrogates(body: bytes) -> Any:
    """JavaScript writes texts that it cut in the middle of a character; orjson takes none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise DecodeError("not JSON, or nested too deeply") from None


def _objects(found: Json, key: str) -> list[Json]:
    held = found.get(key)
    if held is None:
        return []
    if not isinstance(held, list) or not all(isinstance(each, dict) for each in held):
        raise DecodeError(f"not an OTLP request: {key} is not a list of objects")
    return held


def _messages(items: list[Json], kind: type[Message]) -> Iterator[Message | Unfit]:
    for item in items:
        message = _message(item, kind)
        if isinstance(message, Unfit) and kind is Metric:
            for point in _points(item):
                yield _message(point, kind)
        else:
            yield message


def _message(item: Json, kind: type[Message]) -> Message | Unfit:
    message = kind()
    try:
        _fill(message, item, 0)
    except Unfit as why:
        return why
    return message


def _points(item: Json) -> Iterator[Json]:
    """A metric as several of one point each; another item as it is."""
    for key in _METRIC_DATA:
        data = item.get(key)
        if isinstance(data, dict) and isinstance(data.get("dataPoints"), list):
            for point in data["dataPoints"]:
                yield {**item, key: {**data, "dataPoints": [point]}}
            return
    yield item


def _encoded(message: Message, found: Any) -> bytes:
    if found is not None:
        _fill(message, found, 0)
    return message.SerializeToString()


# --- filling messages


class _Field(NamedTuple):
    """``fill(message, value, depth)`` sets one field."""

    key: str
    fill: Callable[[Any, Any, int], None]


def _fill(message: Any, found: Any, depth: int) -> None:
    if not isinstance(found, dict):
        raise Unfit(f"{message.DESCRIPTOR.name} is not an object")
    descriptor = message.DESCRIPTOR
    if descriptor.full_name == _ANY_VALUE:
        depth += 1
        if depth > MAX_DEPTH + 1:  # nobody looks at what is below
            return
    fields = _fields(descriptor)
    for key, value in found.items():
        field = fields.get(key)
        if field is not None and value is not None:
            try:
                field.fill(message, value, depth)
            except (TypeError, ValueError, OverflowError):
                raise Unfit(f"{field.key} has a value of the wrong kind") from None


@cache
def _fields(descriptor: Hashable) -> Mapping[str, _Field]:
    """Of a message's descriptor, by both of their names."""
    found = {}
    described: Any = descriptor
    for each in described.fields:
        field = _Field(each.json_name, _filler(each))
        found[each.json_name] = found[each.name] = field
    return found


def _filler(field: Any) -> Callable[[Any, Any, int], None]:
    name = field.name
    repeated = _is_repeated(field)
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return _messages_filler(name) if repeated else _message_filler(name)
    plain = _plain(field)

    def fill(message: Any, value: Any, depth: int) -> None:
        setattr(message, name, plain(value))

    def fill_all(message: Any, value: Any, depth: int) -> None:
        if not isinstance(value, list):
            raise TypeError
        getattr(message, name).extend([plain(each) for each in value])

    return fill_all if repeated else fill


def _is_repeated(field: Any) -> bool:
    found = getattr(field, "is_repeated", None)  # of protobuf since 6.31, which warns of ``label``
    return bool(field.label == FieldDescriptor.LABEL_REPEATED if found is None else found)


def _message_filler(name: str) -> Callable[[Any, Any, int], None]:
    def fill(message: Any, value: Any, depth: int) -> None:
        inner = getattr(message, name)
        inner.SetInParent()
        _fill(inner, value, depth)

    return fill


def _messages_filler(name: str) -> Callable[[Any, Any, int], None]:
    def fill(message: Any, value: Any, depth: int) -> None:
        if not isinstance(value, list):
            raise TypeError
        add = getattr(message, name).add
        for each in value:
            _fill(add(), each, depth)

    return fill


def _plain(field: Any) -> Callable[[Any], Any]:
    if field.type == FieldDescriptor.TYPE_STRING:
        return _text
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _id if field.name in _IDS else _bytes
    if field.type == FieldDescriptor.TYPE_BOOL:
        return _bool
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return _double
    if field.type == FieldDescriptor.TYPE_ENUM:
        numbers = {name: each.number for name, each in field.enum_type.values_by_name.items()}
        return lambda value: numbers[value] if value in numbers else _int(value)
    return _int


def _text(found: Any) -> str:
    if not isinstance(found, str):
        raise TypeError
    return found if found.isascii() else clean_text(found)


def _id(found: Any) -> bytes:
    return bytes.fromhex(_text(found))


def _bytes(found: Any) -> bytes:
    text = _text(found).translate({45: "+", 95: "/"})
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _bool(found: Any) -> bool:
    if not isinstance(found, bool):
        raise TypeError
    return found


def _double(found: Any) -> float:
    if isinstance(found, bool):
        raise TypeError
    return float(found)


def _int(found: Any) -> int:
    """A whole number, also as a text, or as ``1e3``."""
    if isinstance(found, bool):
        raise TypeError
    if isinstance(found, int):
        return found
    if isinstance(found, str) and found.lstrip("-").isdecimal():
        return int(found)
    number = float(found)
    if number != int(number):
        raise ValueError
    return int(number)
