"""The database asked on threads of ours: whoever asks waits for a limited time only."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TimedOutError
from typing import Any, Final, TypeVar

from otel_django import own_thread
from otel_django.errors import OtelDjangoError
from otel_django.site_database import AWAY

PATIENCE_S: Final = 5.0
RETRY_S: Final = 5.0
"""After a failure the database isn't asked for so long."""
_T = TypeVar("_T")


class DatabaseAwayError(OtelDjangoError):
    """The database can't be used just now; the text names the error's type only."""


class Asker:
    """Has each thing done on a thread of its own, one after the other; to be called so."""

    def __init__(
        self,
        *,
        patience_s: float = PATIENCE_S,
        retry_s: float = RETRY_S,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience_s = patience_s
        self._retry_s = retry_s
        self._now_s = now_s
        self._why = ""
        self._not_before_s = 0.0
        self._slow: Future[Any] | None = None

    def ask(self, work: Callable[[], _T]) -> _T:
        """What ``work`` returns or raises.

        Raises:
            DatabaseAwayError: it couldn't be used, took too long, or did so a moment ago. What
                took too long may still come to pass.
        """
        is_hanging = self._slow is not None and not self._slow.done()
        if is_hanging or (self._why and self._now_s() < self._not_before_s):
            raise DatabaseAwayError(self._why)
        answer: Future[_T] = Future()
        try:
            own_thread.start(lambda: _do(work, answer), "otel_django alerts database")
        except RuntimeError as error:  # none can be started at the process's end
            raise self._is_away(type(error).__name__) from error
        try:
            found = answer.result(self._patience_s)
        except TimedOutError:
            self._slow = answer
            raise self._is_away("TimeoutError") from None
        except AWAY as error:
            raise self._is_away(type(error).__name__) from error
        self._why = ""
        return found

    def _is_away(self, why: str) -> DatabaseAwayError:
        self._why = why
        self._not_before_s = self._now_s() + self._retry_s
        return DatabaseAwayError(why)


def _do(work: Callable[[], _T], answer: Future[_T]) -> None:
    """Its queries are no spans."""
    # Not before: a URLconf loads this module, in commands that have nothing to do with telemetry.
    from opentelemetry.context import Context, attach

    from otel_django.tracing.current import SUPPRESS_KEY

    attach(Context({SUPPRESS_KEY: True}))
    try:
        answer.set_result(work())
    except BaseException as error:
        answer.set_exception(error)
