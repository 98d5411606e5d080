"""A request's body, whole and unpacked, never larger than it may be."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from otel_django.receiver.answers import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping
    from io import BufferedReader

PART: Final = 64 << 10
UNPACKED_PART: Final = 1 << 20
_LONGEST_LINE: Final = 4 << 10
_MOST_TRAILERS: Final = 64
_MOST_MEMBERS: Final = 64
_DIGITS: Final = frozenset(b"0123456789")
_HEX_DIGITS: Final = frozenset(b"0123456789abcdefABCDEF")
_UNREADABLE: Final = "The body isn't framed as HTTP/1.1 says."
ENCODINGS: Final = ("identity", "gzip", "deflate")


class Room:
    """How many bytes all bodies together may take."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        """Raises Refused: come again."""
        with self._lock:
            if size > self._left:
                raise Refused(503, "Too much is being received at once.", Retry_After="1")
            self._left -= size

    def give_back(self, size: int) -> None:
        """It is free again."""
        with self._lock:
            self._left += size


def declared(headers: Mapping[str, str], most: int) -> int | None:
    """The body's length; None: it comes in chunks.

    Raises:
        Refused: it is too long, or that can't be told.
    """
    length, coding = headers.get("CONTENT_LENGTH"), headers.get("HTTP_TRANSFER_ENCODING")
    if coding is not None:
        if length is not None or coding.strip().lower() != "chunked":
            raise Refused(400, _UNREADABLE)
        return None
    text = "0" if length is None else length.strip()
    if not text or len(text) > 18 or not _DIGITS.issuperset(text.encode()):
        raise Refused(400, _UNREADABLE)
    if int(text) > most:
        raise too_large(most)
    return int(text)


def too_large(most: int, what: str = "body") -> Refused:
    """More than ``most`` bytes."""
    return Refused(413, f"The {what} is larger than {most:,} bytes, which is the most.")


def parts(stream: BufferedReader, length: int | None, most: int) -> Iterator[bytes]:
    """The body as it comes.

    Raises:
        Refused: it ends too early, is too large or isn't framed rightly.
    """
    if length is not None:
        yield from _exactly(stream, length)
        return
    total = 0
    while size := _chunk_size(_line(stream)):
        total += size
        if total > most:
            raise too_large(most)
        yield from _exactly(stream, size)
        if _line(stream):
            raise Refused(400, _UNREADABLE)
    for _ in range(_MOST_TRAILERS):
        if not _line(stream):
            return
    raise Refused(400, _UNREADABLE)


def _exactly(stream: BufferedReader, length: int) -> Iterator[bytes]:
    while length:
        part = stream.read1(min(length, PART))
        if not part:
            raise Refused(400, "The body ended before its time.")
        length -= len(part)
        yield part


def _line(stream: BufferedReader) -> bytes:
    line = stream.readline(_LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise Refused(400, _UNREADABLE)
    return line.rstrip(b"\r\n")


def _chunk_size(line: bytes) -> int:
    text = line.partition(b";")[0].strip()
    if not text or len(text) > 15 or not _HEX_DIGITS.issuperset(text):
        raise Refused(400, _UNREADABLE)
    return int(text, 16)


def unpacked(body: bytes, encoding: str, most: int) -> bytes:
    """The body without its ``Content-Encoding``, one of ``ENCODINGS``.

    Raises:
        Refused: there is more than ``most`` in it, which isn't waited for, or it is damaged.
    """
    if encoding == "identity":
        return body
    wbits = 31 if encoding == "gzip" else (15 if _has_zlib_header(body) else -15)
    found: list[bytes] = []
    size = 0
    try:
        for part in _inflated(body, lambda: zlib.decompressobj(wbits)):
            size += len(part)
            if size > most:
                found.clear()
                raise too_large(most, "unpacked body")
            found.append(part)
    except zlib.error:
        raise Refused(400, f"The body isn't {encoding}, as its Content-Encoding says.") from None
    return b"".join(found)


def _has_zlib_header(body: bytes) -> bool:
    """Some send ``deflate`` without it."""
    return len(body) > 1 and body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0


def _inflated(body: bytes, begin: Callable[[], zlib._Decompress]) -> Iterator[bytes]:
    """All members, one after the other; few, as each is copied with what follows it."""
    for _ in range(_MOST_MEMBERS):
        if not body:
            return
        inflater = begin()
        while not inflater.eof:
            part = inflater.decompress(body, UNPACKED_PART)
            body = inflater.unconsumed_tail
            yield part
            if not part and not body and not inflater.eof:
                raise zlib.error("incomplete")
        body = inflater.unused_data
    raise zlib.error("too many members")
