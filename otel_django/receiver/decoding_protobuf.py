"""Requests of OTLP in protobuf, item by item: one that is broken costs no other.

All signals have the same shape (``pipeline.otlp_split``). What stands around the items is read by
hand, so that neither millions of empty items nor a huge one fill the memory; each item by protobuf.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError as ProtobufError
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from otel_django.pipeline import protobuf_reader
from otel_django.pipeline.protobuf import varint
from otel_django.pipeline.protobuf_reader import LENGTH
from otel_django.receiver.decoded import DecodeError
from otel_django.receiver.decoding_groups import Group, Unfit
from otel_django.receiver.decoding_values import resource_of, scope_of

if TYPE_CHECKING:
    from google.protobuf.message import Message

MAX_PARTS: Final = 250_000
MAX_ITEM_BYTES: Final = 4 * 1024 * 1024
METRIC_AT_ONCE_BYTES: Final = 1024 * 1024
METRIC_HEAD_BYTES: Final = 8 * 1024
_METRIC_DATA: Final = frozenset({5, 7, 9, 10, 11})
_POINT: Final = 1
MALFORMED: Final = "malformed, nested too deeply, or with text that isn't UTF-8"
TOO_LARGE: Final = f"larger than {MAX_ITEM_BYTES // 1024 // 1024} MB"


def groups(body: bytes, kind: type[Message]) -> Iterator[Group]:
    """The items of an export request, messages of ``kind``; DecodeError where it is none."""
    read = _Reader()
    try:
        for number, wire_type, content, _ in read.fields(body):
            if (number, wire_type) == (1, LENGTH):
                yield from _of_resource(content, kind, read)
    except ValueError as error:
        raise DecodeError(f"not an OTLP request: {error}") from None


class _Reader:
    """Reads fields, so many of one request at most."""

    def __init__(self) -> None:
        self._left = MAX_PARTS

    def fields(self, data: bytes | memoryview) -> Iterator[tuple[int, int, memoryview, memoryview]]:
        """As ``protobuf_reader.fields``."""
        for each in protobuf_reader.fields(data):
            self._left -= 1
            if self._left < 0:
                raise DecodeError(f"more than {MAX_PARTS:,} parts: send smaller batches")
            yield each

    def envelope(self, data: memoryview) -> tuple[bytes, list[memoryview], str]:
        """Of a ``Resource…`` or ``Scope…``: who it is, what it holds, its schema URL.

        A part of a message that is there twice is merged, which is what joining its bytes does.
        """
        who: list[memoryview] = []
        held: list[memoryview] = []
        schema_url = b""
        for number, wire_type, content, _ in self.fields(data):
            if wire_type == LENGTH:
                if number == 1:
                    who.append(content)
                elif number == 2:
                    held.append(content)
                elif number == 3:
                    schema_url = bytes(content[:MAX_ITEM_BYTES])
        return b"".join(who), held, schema_url.decode("utf-8", "replace")


def _of_resource(data: memoryview, kind: type[Message], read: _Reader) -> Iterator[Group]:
    encoded, scopes, _ = read.envelope(data)
    for each in scopes:
        encoded_scope, items, schema_url = read.envelope(each)
        try:
            if max(len(encoded), len(encoded_scope)) > MAX_ITEM_BYTES:
                raise Unfit(f"a resource or scope {TOO_LARGE}")
            resource, scope = resource_of(encoded), scope_of(encoded_scope, schema_url)
        except (ProtobufError, Unfit) as error:
            why = error if isinstance(error, Unfit) else Unfit(f"a resource or scope {MALFORMED}")
            unfit = (why for item in items for _ in _parts(item, kind, read, at_once=0))
            yield Group(resource_of(b""), scope_of(b"", ""), unfit)
        else:
            yield Group(resource, scope, _messages(items, kind, read))


def _messages(
    items: Iterable[memoryview], kind: type[Message], read: _Reader
) -> Iterator[Message | Unfit]:
    for item in items:
        for part in _parts(item, kind, read, METRIC_AT_ONCE_BYTES):
            message = _message(part, kind)
            if isinstance(message, Unfit) and kind is Metric:
                for point in _parts(memoryview(part), kind, read, at_once=0):
                    yield _message(point, kind)
            else:
                yield message


def _message(encoded: bytes | memoryview, kind: type[Message]) -> Message | Unfit:
    if len(encoded) > MAX_ITEM_BYTES:
        return Unfit(TOO_LARGE)
    message = kind()
    try:
        message.MergeFromString(bytes(encoded))
    except ProtobufError:
        return Unfit(MALFORMED)
    return message


def _parts(
    item: memoryview, kind: type[Message], read: _Reader, at_once: int
) -> Iterator[bytes | memoryview]:
    """A metric as several of about ``at_once`` bytes (a point each for 0); else the item itself."""
    if kind is not Metric or len(item) <= at_once:
        yield item
        return
    try:
        apart = _Apart(item, read)
    except ValueError:
        yield item
        return
    if apart.head_bytes > METRIC_HEAD_BYTES:
        yield item
        return
    for batch in _batches(apart.points, at_once):
        yield apart.with_points(batch)


class _Apart:
    """A metric's points, and what stands around them."""

    def __init__(self, item: memoryview, read: _Reader) -> None:
        self.points: list[memoryview] = []
        self._head: list[memoryview] = []
        self._told: list[memoryview] = []
        self._number = 0
        data: list[memoryview] = []
        for number, wire_type, content, whole in read.fields(item):
            if number in _METRIC_DATA and wire_type == LENGTH:
                self._number = number
                data.append(content)
            else:
                self._head.append(whole)
        for content in data:
            for number, wire_type, _, whole in read.fields(content):
                is_point = (number, wire_type) == (_POINT, LENGTH)
                (self.points if is_point else self._told).append(whole)

    @property
    def head_bytes(self) -> int:
        """How large it is without its points."""
        return sum(len(each) for each in (*self._head, *self._told))

    def with_points(self, points: Iterable[memoryview]) -> bytes:
        """A metric of these."""
        data = b"".join((*self._told, *points))
        tag = varint(self._number << 3 | LENGTH)
        return b"".join((*self._head, tag, varint(len(data)), data))


def _batches(points: Iterable[memoryview], at_once: int) -> Iterator[list[memoryview]]:
    batch: list[memoryview] = []
    size = 0
    for point in points:
        if batch and size + len(point) > at_once:
            yield batch
            batch, size = [], 0
        batch.append(point)
        size += len(point)
    if batch:
        yield batch
