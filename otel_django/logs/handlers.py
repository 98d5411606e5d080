"""Where our handlers stand among those that the site, its server and its worker have made.

What the user's ``LOGGING`` has made stays as it is. Ours is added to the root, and to every logger
that keeps its records from it and has a handler. Where our lines are on, the handlers that print
to the terminal by default (Django's, gunicorn's, uvicorn's, Celery's) are taken away, so that no
line comes twice, and put back by ``remove``.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from otel_django.logs.bridge import JournalHandler

_SERVERS: Final = ("gunicorn", "uvicorn")
_CELERY_FORMATTERS: Final = "celery."


class Handlers:
    """Adds and removes the handlers of a process.

    ``takes_terminal``: our lines are on. ``least_level``: that of the root, where nobody has set
    one; ``insists``: also where others have handlers there.
    """

    def __init__(
        self,
        ours: JournalHandler,
        *,
        takes_terminal: bool,
        least_level: int,
        insists: bool = False,
    ) -> None:
        self._ours = ours
        self._takes_terminal = takes_terminal
        self._least_level = least_level
        self._insists = insists
        self._taken: list[tuple[logging.Logger, logging.Handler]] = []
        self._root_level: int | None = None
        self._known = -1

    def add(self) -> None:
        """Stand wherever we should; may be called again at any time."""
        root = logging.getLogger()
        untouched = root.level == logging.WARNING and (self._insists or not root.handlers)
        if self._root_level is None and untouched:
            self._root_level = root.level
            root.setLevel(self._least_level)
        for logger in list(_loggers()):
            if self._takes_terminal:
                self._take_terminal(logger)
            if self._belongs(logger) and self._ours not in logger.handlers:
                logger.addHandler(self._ours)
        self._known = len(root.manager.loggerDict)

    def add_to_new(self) -> None:
        """``add``, if there are loggers that haven't been looked at, or ours is gone."""
        root = logging.getLogger()
        if self._known != len(root.manager.loggerDict) or self._ours not in root.handlers:
            self.add()

    def remove(self) -> None:
        """As if we had never been there."""
        for logger in list(_loggers()):
            logger.removeHandler(self._ours)
        while self._taken:
            logger, handler = self._taken.pop()
            logger.addHandler(handler)
        if self._root_level is not None:
            logging.getLogger().setLevel(self._root_level)
            self._root_level = None

    def _belongs(self, logger: logging.Logger) -> bool:
        if logger.parent is None:
            return True
        if logger.propagate:
            return False
        taken = any(logger is owner for owner, _ in self._taken)
        return taken or any(not isinstance(one, logging.NullHandler) for one in logger.handlers)

    def _take_terminal(self, logger: logging.Logger) -> None:
        found = [handler for handler in logger.handlers if is_default(logger, handler)]
        if not found:
            return
        # Those taken before are no longer in use: logging has been configured anew.
        self._taken = [taken for taken in self._taken if taken[0] is not logger]
        for handler in found:
            self._taken.append((logger, handler))
            logger.removeHandler(handler)


def user_prints() -> bool:
    """Whether a handler that isn't anybody's default prints to the terminal's streams."""
    return any(
        _prints(handler) and not is_default(logger, handler)
        for logger in list(_loggers())
        for handler in logger.handlers
    )


def is_default(logger: logging.Logger, handler: logging.Handler) -> bool:
    """Whether it prints to the terminal because nobody has said otherwise."""
    if not _prints(handler):
        return False
    if logger.name.partition(".")[0] in _SERVERS:
        return True
    formatter = type(handler.formatter)
    if formatter.__module__.startswith(_CELERY_FORMATTERS):
        return True
    if logger.name == "django":
        return handler.formatter is None and any(
            type(one).__name__ == "RequireDebugTrue" for one in handler.filters
        )
    return logger.name == "django.server" and formatter.__name__ == "ServerFormatter"


def _prints(handler: logging.Handler) -> bool:
    """A stream's handler, not one of a file, on the standard output or error; or rich's."""
    if type(handler).__module__ == "rich.logging":
        return True
    if not isinstance(handler, logging.StreamHandler) or isinstance(handler, logging.FileHandler):
        return False
    streams = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    return any(handler.stream is stream for stream in streams)


def _loggers() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    yield root
    for logger in list(root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            yield logger
