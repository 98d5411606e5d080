"""Measurements that wait to be recorded together.

What is measured on every request or query must not cost much there: it is put into a queue, and
recorded with others of its kind when these are many or somebody asks for the sums. Recording many
at once also takes less time than the same one by one, amid the site's own code.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from otel_django import guard

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_django.metrics.recorder import Recorder

MOST_WAITING: Final = 100

Measured = TypeVar("Measured")


class Gathering(Generic[Measured]):
    """``record`` is given each measurement that was taken, once, some at a time, on any thread."""

    def __init__(self, recorder: Recorder, record: Callable[[list[Measured]], None]) -> None:
        self._record = record
        self._recording = recorder.recording
        self._waiting: deque[Measured] = deque()
        self._draining = threading.RLock()
        recorder.gather(self.drain, self.after_fork)

    def take(self, measured: Measured) -> None:
        """Measured just now."""
        waiting = self._waiting
        waiting.append(measured)
        if len(waiting) >= MOST_WAITING:
            self.drain(blocking=False)
        if self._recording.quiet:
            self._recording.rouse()

    def drain(self, blocking: bool = True) -> None:
        """Record all that waits; where another thread does, ``blocking`` waits for it."""
        if not self._draining.acquire(blocking=blocking):
            return
        try:
            waiting = self._waiting
            if waiting:
                self._record([waiting.popleft() for _ in range(len(waiting))])
        except Exception:
            guard.caught("metrics.gathering")
        finally:
            self._draining.release()

    def after_fork(self) -> None:
        """In a forked child: what waits is the parent's."""
        self._waiting = deque()
        self._draining = threading.RLock()
