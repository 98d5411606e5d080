"""When a certificate is valid: as much of X.509 (RFC 5280) as that takes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Final

_SEQUENCE: Final = 0x30
_VERSION: Final = 0xA0
_UTC_TIME: Final = 0x17
_BEFORE_VALIDITY: Final = 3
"""Serial number, signature algorithm, issuer."""


def validity(der: bytes) -> tuple[datetime, datetime]:
    """From when and until when.

    Raises:
        ValueError: this is no certificate.
    """
    try:
        ((_, certificate),) = _parts(der)
        _, signed = next(_parts(certificate))
        fields = [part for part in _parts(signed) if part[0] != _VERSION]
        kind, dates = fields[_BEFORE_VALIDITY]
        begin, end = (_time(*date) for date in _parts(dates))
    except (IndexError, StopIteration, ValueError) as error:
        raise ValueError("this is no certificate") from error
    if kind != _SEQUENCE:
        raise ValueError("this is no certificate")
    return begin, end


def _parts(der: bytes) -> Iterator[tuple[int, bytes]]:
    """The values that follow each other: their tags and contents."""
    place = 0
    while place < len(der):
        tag, length = der[place], der[place + 1]
        place += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(der[place : place + size], "big")
            place += size
        if place + length > len(der):
            raise ValueError("it is cut off")
        yield tag, der[place : place + length]
        place += length


def _time(tag: int, text: bytes) -> datetime:
    """Two digits stand for the years 1950 to 2049."""
    written = text.decode("ascii")
    if tag == _UTC_TIME:
        written = ("19" if written >= "5" else "20") + written
    return datetime.strptime(written, "%Y%m%d%H%M%SZ").replace(tzinfo=timezone.utc)
