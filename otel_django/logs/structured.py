"""structlog on top of ``logging``, so that both kinds of records take one way.

Configured for projects that haven't configured structlog themselves.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

_IS_LOGGERS: Final = frozenset({"exc_info", "stack_info", "event"})


class Structured:
    """An event with its fields, as the message of a record of ``logging``.

    Handlers of others show it as ``paid order=7``.
    """

    __slots__ = ("event", "fields")

    def __init__(self, event: str, fields: Mapping[str, Any]) -> None:
        self.event = event
        self.fields = fields

    def __str__(self) -> str:
        return " ".join([self.event, *(f"{name}={value!r}" for name, value in self.fields.items())])


def configure() -> None:
    """Configure structlog, unless somebody has."""
    import structlog

    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.PositionalArgumentsFormatter(),
            hand_over,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def hand_over(
    logger: logging.Logger, method: str, event: MutableMapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The last processor: from an event dictionary to a call of ``logging``."""
    fields = {name: value for name, value in event.items() if name not in _IS_LOGGERS}
    keywords: dict[str, Any] = {}
    if type(logger).findCaller is logging.Logger.findCaller:  # structlog's own class knows better
        keywords["stacklevel"] = _levels_of_structlog()
    if event.get("exc_info"):
        keywords["exc_info"] = event["exc_info"]
    if event.get("stack_info"):
        keywords["stack_info"] = event["stack_info"]
    return (Structured(str(event.get("event", "")), fields),), keywords


def _levels_of_structlog() -> int:
    """How many frames of structlog lie between the logger it calls and the user's code."""
    frame = sys._getframe(3)
    levels = 1
    while frame is not None and frame.f_globals.get("__name__", "").startswith("structlog."):
        levels += 1
        frame = frame.f_back  # type: ignore[assignment]
    return levels


def named_logger(name: str | None, fields: Mapping[str, Any]) -> Any:
    """structlog's logger of this name, by default that of the module that called our caller."""
    import structlog

    if name is None:
        name = str(sys._getframe(2).f_globals.get("__name__", "root"))
    return structlog.get_logger(name, **fields)
