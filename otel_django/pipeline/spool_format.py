"""The bytes of a spool: records one after the other in a segment, and the head file.

A record is a header of 24 bytes (big-endian: magic, signal, three zero bytes, item count, payload
length, CRC-32 of the payload, CRC-32 of the header so far) and the payload, an encoded export
request. A process that dies while it writes leaves a torn record at the end, which reading finds.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final, NamedTuple

MAGIC: Final = b"oDs1"
HEAD_MAGIC: Final = b"oDh1"
SIGNALS: Final = {"traces": 1, "metrics": 2, "logs": 3}

_HEADER: Final = struct.Struct(">4sB3xIII")
_CRC: Final = struct.Struct(">I")
_HEAD: Final = struct.Struct(">4sIQ")

HEADER_SIZE: Final = _HEADER.size + _CRC.size
HEAD_SIZE: Final = _HEAD.size + _CRC.size
MAX_PAYLOAD: Final = 64 << 20
"""The specification's limit of a request."""


class Header(NamedTuple):
    """What stands before a payload."""

    signal: int
    items: int
    length: int
    crc: int


def pack_record(signal: str, items: int, payload: bytes) -> bytes:
    """Header and payload."""
    head = _HEADER.pack(MAGIC, SIGNALS[signal], items, len(payload), zlib.crc32(payload))
    return b"".join((head, _CRC.pack(zlib.crc32(head)), payload))


def unpack_header(data: bytes) -> Header | None:
    """The header, None when these bytes aren't a whole and unharmed one."""
    if len(data) < HEADER_SIZE:
        return None
    head = data[: _HEADER.size]
    magic, signal, items, length, crc = _HEADER.unpack(head)
    (check,) = _CRC.unpack_from(data, _HEADER.size)
    if magic != MAGIC or check != zlib.crc32(head) or length > MAX_PAYLOAD:
        return None
    return Header(signal, items, length, crc)


def is_intact(header: Header, payload: bytes) -> bool:
    """Whether this is the payload that was written."""
    return len(payload) == header.length and zlib.crc32(payload) == header.crc


def pack_head(segment: int, offset: int) -> bytes:
    """Where replay goes on."""
    head = _HEAD.pack(HEAD_MAGIC, segment, offset)
    return head + _CRC.pack(zlib.crc32(head))


def unpack_head(data: bytes) -> tuple[int, int] | None:
    """(segment, offset), None when these bytes aren't a head."""
    if len(data) < HEAD_SIZE:
        return None
    head = data[: _HEAD.size]
    magic, segment, offset = _HEAD.unpack(head)
    (check,) = _CRC.unpack_from(data, _HEAD.size)
    if magic != HEAD_MAGIC or check != zlib.crc32(head):
        return None
    return segment, offset
