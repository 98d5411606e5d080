"""Plain values as JSON text: by orjson, by the standard library where orjson has no wheel."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any

_orjson: Any
try:
    import orjson as _orjson
except ImportError:
    _orjson = None

INT64_MAX = 2**63 - 1
MAX_DEPTH = 32


def dumps(value: Any) -> str:
    """``value`` as JSON. Bytes become ``{"base64": …}``; integers beyond 64 bits become text; lone
    surrogates U+FFFD; infinities and NaN null.
    """
    if _orjson is not None:
        try:
            return str(_orjson.dumps(value, default=_default), "utf-8")
        except TypeError:
            pass
    return json.dumps(_clean(value, 0), separators=(",", ":"), ensure_ascii=False)


def loads(text: str | bytes) -> Any:
    """What ``dumps`` wrote."""
    if _orjson is not None:
        return _orjson.loads(text)
    return json.loads(text)


def clean_text(text: str) -> str:
    """``text`` without lone surrogates."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def int64(value: int) -> int:
    """``value``, or the nearest a signed 64-bit integer can hold."""
    return max(-INT64_MAX, min(value, INT64_MAX))


def _default(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    raise TypeError(type(value).__name__)


def _clean(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, int):
        return value if abs(value) <= INT64_MAX else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return _default(value)
    if depth < MAX_DEPTH and isinstance(value, Mapping):
        return {clean_text(str(key)): _clean(item, depth + 1) for key, item in value.items()}
    if depth < MAX_DEPTH and isinstance(value, list | tuple):
        return [_clean(item, depth + 1) for item in value]
    return f"<{type(value).__name__}>"
