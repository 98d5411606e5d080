"""Protocol buffers' wire format packed by hand, and the messages all OTLP signals share.

Nothing here knows a signal: ``KeyValues(9)`` writes the attributes of a span (its field 9),
``KeyValues(6)`` those of a log record. Needs neither Django nor OpenTelemetry, and any number of
threads may encode at once.

How a value becomes an ``AnyValue`` (opentelemetry/proto/common/v1/common.proto):

=============================  ===================================================================
None                           the empty AnyValue
bool, float, str, bytes        their own fields; NaN and infinities as they are
int                            ``int_value``; beyond 64 bits ``string_value``, in decimal up to
                               1,024 bits, in hexadecimal ("0x…") past that
list, tuple                    ``array_value``
dict                           ``kvlist_value``, keys made strings
lone surrogates in strings     U+FFFD, one each, for UTF-8 has no place for them
more than 20 containers deep   the string "[nested too deeply]": parsers give up at 100 messages
a container inside itself      the string "[circular]"
anything else                  the string "[unsupported: its.type]", never its ``str()``, which
                               may run code (a lazy query) on whatever thread encodes
=============================  ===================================================================
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from itertools import islice
from typing import Any, Final

from otel_django.pipeline.pace import Pace, no_pause

CHUNK: Final = 32_768
"""Characters of one string encoded in one go."""

BYTES_AT_ONCE: Final = 262_144
PARTS_AT_ONCE: Final = 2_048
"""What ``join`` copies in one go."""

LARGE: Final = 4_096
"""Bytes from which on an attribute counts as large."""

BLOCK: Final = 32
"""Attributes or elements written between two chances to look at the clock."""

CHARACTERS_PER_WORK: Final = 512

MAX_DEPTH: Final = 20
TOO_DEEP: Final = "[nested too deeply]"
CIRCULAR: Final = "[circular]"
UNSUPPORTED: Final = "[unsupported: %s.%s]"

_CACHED_LENGTH: Final = 1_024
_CACHED_KEYS: Final = 256
_CACHED_VALUES_PER_KEY: Final = 128
_REPEATING_VALUES: Final = 16
_CACHED_BYTES: Final = 524_288
_ENTRY_BYTES: Final = 200

_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_BYTE: Final = tuple(bytes((n,)) for n in range(256))
_DOUBLE: Final = struct.Struct("<Bd").pack
_UINT64_MASK: Final = (1 << 64) - 1
_INT64_MIN: Final = -(1 << 63)
_INT64_MAX: Final = (1 << 63) - 1

STRING_VALUE: Final = b"\x0a"
_INT_VALUE: Final = b"\x18"
_ARRAY_VALUE: Final = b"\x2a"
_KVLIST_VALUE: Final = b"\x32"
_BYTES_VALUE: Final = b"\x3a"
_TRUE: Final = b"\x10\x01"
_FALSE: Final = b"\x10\x00"
_FIELD_1: Final = b"\x0a"
_FIELD_2: Final = b"\x12"


def varint(number: int) -> bytes:
    """``number`` (0 ≤ number < 2⁶⁴) as a base-128 varint."""
    if number < 128:
        return _BYTE[number]
    if number < 16_384:
        return _BYTE[number & 127 | 128] + _BYTE[number >> 7]
    if number < 2_097_152:
        return _BYTE[number & 127 | 128] + _BYTE[number >> 7 & 127 | 128] + _BYTE[number >> 14]
    groups = bytearray()
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def join(parts: Sequence[bytes], pace: Pace) -> bytes:
    """``b"".join(parts)``, but with pauses where that would take long."""
    if len(parts) <= PARTS_AT_ONCE and sum(map(len, parts)) <= BYTES_AT_ONCE:
        return b"".join(parts)
    buffer = BytesIO()
    for start in range(0, len(parts), 128):
        block = parts[start : start + 128]
        if sum(map(len, block)) <= BYTES_AT_ONCE:
            buffer.write(b"".join(block))
        else:
            _write_large(buffer, block, pace)
        pace.look()
    return buffer.getvalue()  # hands over its memory, no copy


def _write_large(buffer: BytesIO, parts: Iterable[bytes], pace: Pace) -> None:
    for part in parts:
        if len(part) <= CHUNK:
            buffer.write(part)
            pace.spend(1 + len(part) // CHARACTERS_PER_WORK)
            continue
        view = memoryview(part)
        for start in range(0, len(part), CHUNK):
            buffer.write(view[start : start + CHUNK])
            pace.look()


def total_size(parts: Sequence[bytes], pace: Pace) -> int:
    """The summed length of ``parts``, with pauses."""
    size = 0
    for start in range(0, len(parts), PARTS_AT_ONCE):
        size += sum(map(len, parts[start : start + PARTS_AT_ONCE]))
        pace.look()
    return size


def field(tag: bytes, data: bytes, pace: Pace) -> bytes:
    """A length-delimited field: string, bytes or message."""
    size = len(data)
    if size <= LARGE:
        return b"".join((tag, varint(size), data))
    return join((tag, varint(size), data), pace)


def utf8(text: str, pace: Pace) -> bytes:
    """``text`` in UTF-8, lone surrogates replaced by U+FFFD."""
    if len(text) <= CHUNK:
        pace.spend(len(text) // CHARACTERS_PER_WORK)
        try:
            return text.encode()
        except UnicodeEncodeError:
            return _in_chunks(text, 1_024, pace)
    return _in_chunks(text, CHUNK, pace)


def _in_chunks(text: str, size: int, pace: Pace) -> bytes:
    parts = []
    for start in range(0, len(text), size):
        part = text[start : start + size]
        parts.append(_without_surrogates(part) if size == 1_024 else utf8(part, pace))
        pace.look()
    return join(parts, pace)


def _without_surrogates(text: str) -> bytes:
    return _SURROGATES.sub("\ufffd", text).encode()


def any_value(value: object, pace: Pace) -> bytes:
    """The content of an ``AnyValue``; the module's docstring tells how each type is written."""
    return _any_value(value, pace, [])


def _any_value(value: object, pace: Pace, above: list[int]) -> bytes:
    pace.spend(1)
    if isinstance(value, str):
        return field(STRING_VALUE, utf8(value, pace), pace)
    if value is True:
        return _TRUE
    if value is False:
        return _FALSE
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return _DOUBLE(0x21, value)
    if value is None:
        return b""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return field(_BYTES_VALUE, bytes(value), pace)
    if isinstance(value, (list, tuple, Mapping)):
        return _container(value, pace, above)
    unsupported = UNSUPPORTED % (type(value).__module__, type(value).__qualname__)
    return field(STRING_VALUE, utf8(unsupported, pace), pace)


def _integer(value: int) -> bytes:
    if _INT64_MIN <= value <= _INT64_MAX:
        return _INT_VALUE + varint(value & _UINT64_MASK)
    # Decimal digits take quadratic time, and Python refuses more than 4,300 of them.
    text = str(int(value)) if value.bit_length() <= 1_024 else hex(value)
    data = text.encode()
    return STRING_VALUE + varint(len(data)) + data


def _container(
    value: Sequence[object] | Mapping[object, object], pace: Pace, above: list[int]
) -> bytes:
    if id(value) in above:
        return _any_value(CIRCULAR, pace, above)
    if len(above) == MAX_DEPTH:
        return _any_value(TOO_DEEP, pace, above)
    above.append(id(value))
    if isinstance(value, Mapping):
        tag, content = _KVLIST_VALUE, _gather(_kvlist(value, pace, above), pace)
    else:
        tag, content = _ARRAY_VALUE, _gather(_array(value, pace, above), pace)
    above.pop()
    return field(tag, content, pace)


def _array(values: Sequence[object], pace: Pace, above: list[int]) -> Iterator[bytes]:
    for value in values:
        yield field(_FIELD_1, _any_value(value, pace, above), pace)


def _kvlist(items: Mapping[object, object], pace: Pace, above: list[int]) -> Iterator[bytes]:
    for name, value in items.items():
        key = _key_field(name, pace) + _FIELD_2
        content = _any_value(value, pace, above)
        yield field(_FIELD_1, _after_key(key, content, pace), pace)


def _gather(fields: Iterator[bytes], pace: Pace) -> bytes:
    """All of ``fields`` as one, without ever having to let go of many objects at once."""
    blocks = []
    while block := list(islice(fields, 1_024)):
        blocks.append(join(block, pace))
    return blocks[0] if len(blocks) == 1 else join(blocks, pace)


def _key_field(name: object, pace: Pace) -> bytes:
    return field(_FIELD_1, utf8(name if isinstance(name, str) else str(name), pace), pace)


def _after_key(key: bytes, content: bytes, pace: Pace) -> bytes:
    if len(content) <= LARGE:
        return b"".join((key, varint(len(content)), content))
    pace.met_large = True
    return join((key, varint(len(content)), content), pace)


_pace = Pace(no_pause, float)  # for what is short by nature


class KeyValues:
    """Writes mappings as ``repeated KeyValue`` in one field of some message.

    What was written for a short string or an int is kept and used again, by key and value, up to
    half a megabyte: most attributes repeat. It holds only what has been exported anyway.
    """

    __slots__ = ("_held_bytes", "_known", "_tag")

    def __init__(self, field_number: int) -> None:
        self._tag = varint(field_number << 3 | 2)
        self._known: dict[str, _KnownValues] = {}
        self._held_bytes = 0

    def encode(self, attributes: Mapping[Any, Any], pace: Pace) -> bytes:
        """All of ``attributes``, each with tag and length, in their order."""
        if len(attributes) > BLOCK:
            return self._encode_many(attributes, pace)
        known = self._known
        other = self._other
        try:
            # The loop most of the time goes into. True and 1.0 equal 1, so only the exact types
            # str and int may look into the cache; a long string isn't even hashed.
            fields = [
                known[key][value]
                if (type(value) is str and len(value) <= _CACHED_LENGTH) or type(value) is int
                else other(key, value, pace)
                for key, value in attributes.items()
            ]
        except KeyError:
            for key in attributes:
                self._values_of(key, pace)
            fields = [other(key, value, pace) for key, value in attributes.items()]
        return join(fields, pace) if pace.met_large else b"".join(fields)

    def _encode_many(self, attributes: Mapping[Any, Any], pace: Pace) -> bytes:
        items = iter(attributes.items())
        parts = []
        while block := dict(islice(items, BLOCK)):
            parts.append(self.encode(block, pace))
            pace.look()
        return join(parts, pace)

    def _other(self, key: object, value: object, pace: Pace) -> bytes:
        values = self._values_of(key, pace)
        if type(value) is float:
            return values.of_float(value)
        return values.wrap(any_value(value, pace), pace)

    def _values_of(self, key: object, pace: Pace) -> _KnownValues:
        if not isinstance(key, str):
            key = str(key)
        values = self._known.get(key)
        if values is None:
            values = _KnownValues(self, self._tag, _key_field(key, pace) + _FIELD_2)
            if len(key) <= _CACHED_LENGTH:
                if len(self._known) >= _CACHED_KEYS:
                    self._forget()
                self._known[key] = values
                self.grew(len(key) + _ENTRY_BYTES)
        return values

    def grew(self, size_bytes: int) -> None:
        """Count what was kept, or let go; when it is too much, start again empty."""
        self._held_bytes += size_bytes
        if self._held_bytes > _CACHED_BYTES:
            self._forget()

    def _forget(self) -> None:
        self._known = {}
        self._held_bytes = 0


class _KnownValues(dict[Any, bytes]):
    """The ready-made fields of one key, by value: exact ``str`` and ``int`` only.

    A key whose values don't come again (paths, addresses, sizes) is found out when the values of
    one filling hardly occur in the next; from then on nothing is kept for it.
    """

    __slots__ = (
        "_before",
        "_float_prefix",
        "_held_bytes",
        "_int_prefixes",
        "_key",
        "_owner",
        "_repeats",
        "_str_prefixes",
        "_tag",
    )

    def __init__(self, owner: KeyValues, tag: bytes, key: bytes) -> None:
        self._owner = owner
        self._tag = tag
        self._key = key
        self._str_prefixes: dict[int, bytes] = {}
        self._int_prefixes: dict[int, bytes] = {}
        self._float_prefix = b""
        self._held_bytes = 0
        self._before: frozenset[Any] | None = None
        self._repeats = True

    def __missing__(self, value: str | int) -> bytes:
        if isinstance(value, str):
            try:
                data = value.encode()
            except UnicodeEncodeError:
                data = _without_surrogates(value)
            size = len(data)
            encoded = (self._str_prefixes.get(size) or self._str_prefix(size)) + data
        elif 0 <= value <= _INT64_MAX:
            data = varint(value)
            size = len(data)
            encoded = (self._int_prefixes.get(size) or self._int_prefix(size)) + data
        else:
            return self.wrap(_integer(value), _pace)
        if self._repeats:
            self._keep(value, encoded)
        return encoded

    def _keep(self, value: str | int, encoded: bytes) -> None:
        if len(self) >= _CACHED_VALUES_PER_KEY:
            now = frozenset(self)
            self.clear()
            self._owner.grew(-self._held_bytes)
            self._held_bytes = 0
            before, self._before = self._before, now
            if before is not None and len(now & before) < _REPEATING_VALUES:
                self._before = None
                self._repeats = False
                return
        self[value] = encoded
        size_bytes = len(encoded) + _ENTRY_BYTES
        self._held_bytes += size_bytes
        self._owner.grew(size_bytes)

    def _str_prefix(self, size: int) -> bytes:
        prefix = self._prefix(1 + len(varint(size)) + size, STRING_VALUE + varint(size))
        if len(self._str_prefixes) < _CACHED_VALUES_PER_KEY:
            self._str_prefixes[size] = prefix
            self._owner.grew(len(prefix) + _ENTRY_BYTES)
        return prefix

    def _int_prefix(self, size: int) -> bytes:
        prefix = self._int_prefixes[size] = self._prefix(1 + size, _INT_VALUE)
        return prefix

    def _prefix(self, value_size: int, value_start: bytes) -> bytes:
        start = self._key + varint(value_size)
        return b"".join((self._tag, varint(len(start) + value_size), start, value_start))

    def of_float(self, value: float) -> bytes:
        """The field for this key and a float, which always has the same length."""
        content = _DOUBLE(0x21, value)
        if not self._float_prefix:
            self._float_prefix = self._prefix(len(content), b"")
        return self._float_prefix + content

    def wrap(self, content: bytes, pace: Pace) -> bytes:
        """The field for this key and the ``AnyValue`` written in ``content``."""
        return field(self._tag, _after_key(self._key, content, pace), pace)
