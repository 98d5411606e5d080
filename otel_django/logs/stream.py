"""Lines to an open file descriptor: the standard error."""

from __future__ import annotations

import select
import sys

try:
    # eventlet's os.write has other greenlets go first, and refuses two that write to the same pipe.
    from posix import write
except ImportError:  # Windows
    from os import write

WAIT_S = 1.0


class Stream:
    """Writes each line in one call, past ``sys.stderr``, which others may have redirected to
    ``logging``. What can't be written is lost and counted in ``lost``.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.lost = 0

    def write(self, line: bytes) -> None:
        """Write a line; a pipe that is full is waited for, for a moment."""
        try:
            while True:
                try:
                    written = write(self._fd, line)
                except BlockingIOError:
                    if not select.select([], [self._fd], [], WAIT_S)[1]:
                        self.lost += 1
                        return
                    continue
                if written == len(line):
                    return
                line = line[written:]
        except (OSError, ValueError, RuntimeError):  # the last is eventlet's, of its select
            self.lost += 1


def standard_error() -> int | None:
    """The descriptor of this process's standard error, None where it has none."""
    try:
        return None if sys.__stderr__ is None else sys.__stderr__.fileno()
    except (OSError, ValueError):
        return None
