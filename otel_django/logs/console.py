"""A record as a line for people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Final

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


class Console:
    """Draws records; ``color`` for terminals that are to have it."""

    def __init__(self, *, color: bool) -> None:
        self._color = color

    def line(self, fields: Mapping[str, Any]) -> bytes:
        """``12:00:01.123 WARNING  shop.orders  paid late  order=7``, then the stack trace."""
        level = fields["level"]
        parts = [
            self._paint(_clock(fields["timestamp"]), _DIM),
            self._paint(f"{level.upper():<8}", _COLORS.get(level, "")),
            self._paint(fields["logger"], _CYAN),
            "",
            _inert(fields["event"]),
            "",
        ]
        parts += [
            f"{self._paint(_inert(name), _DIM)}={_shown(value)}"
            for name, value in fields.items()
            if name not in _BESIDE
        ]
        text = " ".join(parts).rstrip()
        for name in ("code.stacktrace", "exception.stacktrace"):
            if name in fields:
                text += "\n" + "\n".join(_inert(line) for line in fields[name].splitlines())
        return (text + "\n").encode("utf-8", "replace")

    def _paint(self, text: str, code: str) -> str:
        return f"{code}{text}{_RESET}" if self._color and code else text


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
