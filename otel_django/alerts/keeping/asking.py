"""The database asked on a thread of its own: whoever asks waits for a limited time only."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TimedOutError
from typing import Any, Final, TypeVar

from opentelemetry.context import Context, attach

from otel_django import own_thread
from otel_django.errors import OtelDjangoError
from otel_django.site_database import AWAY
from otel_django.tracing.current import SUPPRESS_KEY

PATIENCE_S: Final = 5.0
RETRY_S: Final = 5.0
"""After a failure the database isn't asked for so long."""
_T = TypeVar("_T")


class DatabaseAwayError(OtelDjangoError):
    """The database can't be used just now; the text names the error's type only."""


class Asker:
    """Does one thing after the other, each on the thread that it starts when it is needed."""

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
        self._asked: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        self._is_running = False
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
        self._start()
        answer: Future[_T] = Future()
        self._asked.put((work, answer))
        try:
            found = answer.result(self._patience_s)
        except AWAY as error:
            raise self._is_away(type(error).__name__) from error
        except TimedOutError:
            self._slow = answer
            answer.cancel()
            raise self._is_away("TimeoutError") from None
        self._why = ""
        return found

    def _is_away(self, why: str) -> DatabaseAwayError:
        self._why = why
        self._not_before_s = self._now_s() + self._retry_s
        return DatabaseAwayError(why)

    def _start(self) -> None:
        if not self._is_running:
            self._is_running = True
            own_thread.start(self._run, "otel_django alerts database")

    def _run(self) -> None:
        attach(Context({SUPPRESS_KEY: True}))
        while True:
            work, answer = self._asked.get()
            if not answer.set_running_or_notify_cancel():
                continue
            try:
                answer.set_result(work())
            except BaseException as error:
                answer.set_exception(error)
