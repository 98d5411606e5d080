"""Reads protocol buffers' wire format: just enough for what receivers answer and for splitting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

VARINT: Final = 0
FIXED64: Final = 1
LENGTH: Final = 2
FIXED32: Final = 5

_FIXED_SIZES: Final = {FIXED64: 8, FIXED32: 4}


def read_varint(data: bytes | memoryview, offset: int) -> tuple[int, int]:
    """The number at ``offset`` and the offset behind it; ValueError when it isn't one."""
    value = shift = 0
    while True:
        if offset >= len(data) or shift > 63:
            raise ValueError("not protobuf: a number doesn't end")
        byte = data[offset]
        offset += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, offset
        shift += 7


def fields(data: bytes | memoryview) -> Iterator[tuple[int, int, memoryview, memoryview]]:
    """(number, wire type, content, the whole field with its tag) of each field, in order.

    The content of a varint is its bytes; of a length-delimited field what is behind the length.
    Raises ValueError where the data isn't protobuf.
    """
    view = memoryview(data)
    offset, end = 0, len(view)
    while offset < end:
        start = offset
        tag, offset = read_varint(view, offset)
        number, wire_type = tag >> 3, tag & 7
        content = offset
        if wire_type == VARINT:
            _, offset = read_varint(view, offset)
        elif wire_type == LENGTH:
            length, content = read_varint(view, offset)
            offset = content + length
        elif wire_type in _FIXED_SIZES:
            offset += _FIXED_SIZES[wire_type]
        else:
            raise ValueError(f"not protobuf: wire type {wire_type}")
        if number == 0 or offset > end:
            raise ValueError("not protobuf: a field doesn't end")
        yield number, wire_type, view[content:offset], view[start:offset]


def message_field(data: bytes | memoryview, number: int) -> memoryview:
    """The content of the last length-delimited field ``number``; empty where it is missing."""
    found = memoryview(b"")
    for field, wire_type, content, _ in fields(data):
        if field == number and wire_type == LENGTH:
            found = content
    return found


def int_field(data: bytes | memoryview, number: int) -> int:
    """An int64 field; 0 where it is missing."""
    found = 0
    for field, wire_type, content, _ in fields(data):
        if field == number and wire_type == VARINT:
            found, _ = read_varint(content, 0)
    return found - (1 << 64) if found >> 63 else found


def text_field(data: bytes | memoryview, number: int) -> str:
    """A string field; what isn't UTF-8 is replaced."""
    return bytes(message_field(data, number)).decode("utf-8", "replace")
