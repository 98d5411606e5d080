"""A record as one line of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from time import gmtime, strftime
from typing import Any

try:
    import orjson
except ImportError:  # no wheel for this interpreter
    orjson = None  # type: ignore[assignment]

_second: tuple[int, str] = (0, "1970-01-01T00:00:00.")


def stamp(time_ns: int) -> str:
    """RFC 3339 in UTC with microseconds."""
    global _second
    second, rest = divmod(time_ns, 1_000_000_000)
    known, text = _second
    if known != second:
        text = strftime("%Y-%m-%dT%H:%M:%S.", gmtime(second))
        _second = (second, text)
    return f"{text}{rest // 1000:06d}Z"


def json_line(fields: Mapping[str, Any]) -> bytes:
    """``fields`` in their order, with a line feed; never raises for plain values."""
    if orjson is not None:
        try:
            return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)
        except TypeError:  # an int beyond 64 bits, half a surrogate pair
            pass
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"
