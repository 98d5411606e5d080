"""A record as a line for people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Final

from otel_django import names

_RESET, _BOLD, _DIM, _RED, _GREEN, _AMBER, _CYAN = (
    f"\x1b[{code}m" for code in (0, 1, 2, 31, 32, 33, 36)
)
_COLORS: Final = {
    "debug": _DIM,
    "info": _GREEN,
    "warning": _AMBER,
    "error": _RED,
    "critical": _RED + _BOLD,
}
_BESIDE: Final = frozenset(
    [
        *("timestamp", "level", "event", "logger", "service", "environment", "span_id"),
        *("request_id", "code.file.path", "code.line.number", "code.function.name"),
        *("exception.type", "exception.message", "exception.stacktrace", "code.stacktrace"),
    ]
)
"""What has a place of its own in the line, or is left to the JSON."""
_OF_REQUEST: Final = frozenset(
    [
        *(names.HTTP_REQUEST_METHOD, names.URL_PATH, names.HTTP_RESPONSE_STATUS_CODE),
        *(names.DURATION, names.DB_QUERIES, names.DB_DURATION, names.HTTP_ROUTE),
        *(names.HTTP_REQUEST_BODY_SIZE, names.HTTP_RESPONSE_BODY_SIZE, names.CLIENT_ADDRESS),
    ]
)


class Console:
    """Draws records; ``color`` for terminals that are to have it."""

    def __init__(self, *, color: bool) -> None:
        self._color = color

    def line(self, fields: Mapping[str, Any]) -> bytes:
        """``12:00:01.123 WARNING  shop.orders  paid late  order=7``, then the stack trace."""
        level, event, beside = fields["level"], fields["event"], _BESIDE
        if event == names.REQUEST_FINISHED and names.DURATION in fields:
            event, beside = _request(fields), _BESIDE | _OF_REQUEST
        parts = [
            self._paint(_clock(fields["timestamp"]), _DIM),
            self._paint(f"{level.upper():<8}", _COLORS.get(level, "")),
            self._paint(fields["logger"], _CYAN),
            "",
            _inert(event),
            "",
        ]
        parts += [
            f"{self._paint(_inert(name), _DIM)}={_shown(value)}"
            for name, value in fields.items()
            if name not in beside
        ]
        text = " ".join(parts).rstrip()
        for name in ("code.stacktrace", "exception.stacktrace"):
            if name in fields:
                text += "\n" + "\n".join(_inert(line) for line in fields[name].splitlines())
        return (text + "\n").encode("utf-8", "replace")

    def _paint(self, text: str, code: str) -> str:
        return f"{code}{text}{_RESET}" if self._color and code else text


def _request(fields: Mapping[str, Any]) -> str:
    """``GET /orders/7/ 200  48 ms  3 queries (2.1 ms)``."""
    parts = (names.HTTP_REQUEST_METHOD, names.URL_PATH, names.HTTP_RESPONSE_STATUS_CODE)
    text = " ".join(str(fields[name]) for name in parts if fields.get(name) is not None)
    text += f"  {_milliseconds(fields[names.DURATION])}"
    queries = fields.get(names.DB_QUERIES)
    if queries:
        took = _milliseconds(fields.get(names.DB_DURATION, 0.0))
        text += f"  {queries} {'query' if queries == 1 else 'queries'} ({took})"
    return text


def _milliseconds(seconds: float) -> str:
    ms = seconds * 1e3
    return f"{ms:.1f} ms" if ms < 10 else f"{ms:,.0f} ms"


def _clock(stamp: str) -> str:
    """The local time of day, in milliseconds."""
    moment = datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    return moment.astimezone().strftime("%H:%M:%S.%f")[:-3]


def _shown(value: Any) -> str:
    text = _inert(str(value))
    return repr(text) if " " in text else text


def _inert(text: str) -> str:
    """On one line, with nothing that could move the cursor or colour what follows."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else " " if character.isspace() else "\ufffd"
        for character in text
    )
