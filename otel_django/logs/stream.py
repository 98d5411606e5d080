"""Lines to an open file descriptor: the standard error."""

from __future__ import annotations

import select
import sys
import threading
import time
from typing import Final

from otel_django.logs.system_write import write

WAIT_S: Final = 1.0


class Stream:
    """Writes lines, past ``sys.stderr``, which others may have redirected to ``logging``.

    A descriptor that is full and doesn't block is waited for, for a moment; if that was in vain,
    the lines of the next second don't wait. What can't be written is lost and counted in ``lost``.
    """

    def __init__(self, fd: int) -> None:
        self.lost = 0
        self._fd = fd
        self._torn = False
        self._gave_up_s = float("-inf")
        self._lock = threading.RLock()  # a signal's handler may write in the middle of a line

    def write(self, line: bytes) -> None:
        """Write a line; never raises."""
        try:
            with self._lock:
                self._put(line)
        except Exception:  # beside OSError what gevent and eventlet raise where none may wait
            self.lost += 1

    def after_fork(self) -> None:
        """In a child: a lock that another thread of the parent held would never come free."""
        self._lock = threading.RLock()

    def _put(self, line: bytes) -> None:
        if self._torn:
            line = b"\n" + line
        while line:
            try:
                line = line[write(self._fd, line) :]
            except BlockingIOError:
                if not self._is_free():
                    raise
            else:
                self._torn = bool(line)

    def _is_free(self) -> bool:
        wait_s = WAIT_S if time.monotonic() - self._gave_up_s >= WAIT_S else 0.0
        if select.select([], [self._fd], [], wait_s)[1]:
            return True
        if wait_s:
            self._gave_up_s = time.monotonic()
        return False


def standard_error() -> int | None:
    """The descriptor of this process's standard error, None where it has none."""
    try:
        return None if sys.__stderr__ is None else sys.__stderr__.fileno()
    except (OSError, ValueError):
        return None
