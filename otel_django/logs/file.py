"""A log file that several processes write, and rotate, at once.

Each line is one write at the file's end (``O_APPEND``), so that lines of different processes don't
mix. Who finds the file full renames it under a lock that all its writers know. Several times a
second each looks whether another process, or logrotate, has put a new file there; a file that was
renamed just now isn't deleted yet, so that lines written into it meanwhile are kept.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_django import guard
from otel_django.file_lock import CLOEXEC, let_go, try_lock
from otel_django.logs.system_write import write
from otel_django.private_folder import PRIVATE_FILE, give_to_owner_above, make_private_folder

if TYPE_CHECKING:
    from otel_django.logs.rotation import Rotation

_logger = logging.getLogger(guard.LOGGER_NAME)
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | CLOEXEC
RETRY_S: Final = 1.0
LOOK_EVERY_S: Final = 0.2
SPARED_S: Final = 5.0
"""So long a full file stays at least."""
_NONE: Final = -1


class LogFile:
    """One writer of the file at ``path``; ``keep`` is how many full files stay.

    Lines that can't be written are lost and counted in ``lost``; after a second it is tried again.
    """

    def __init__(
        self,
        path: Path,
        rotation: Rotation,
        keep: int,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self.lost = 0
        self._path = path
        self._rotation = rotation
        self._keep = keep
        self._now_s = now_s
        self._fd = _NONE
        self._identity = (0, 0)
        self._regular = True
        self._ends_s = 0.0
        self._look_s = 0.0
        self._torn = False
        self._failed_at_s = float("-inf")
        self._said = False
        self._lock = threading.RLock()  # a signal's handler may write in the middle of a line

    def write(self, line: bytes) -> None:
        """Append a line; never raises."""
        if self._fd == _NONE and time.monotonic() - self._failed_at_s < RETRY_S:
            self.lost += 1
            return
        try:
            with self._lock:
                self._append(line)
        except OSError as error:
            self._fail(error)

    def after_fork(self) -> None:
        """In a child: a lock that another thread of the parent held would never come free."""
        self._lock = threading.RLock()

    def close(self) -> None:
        """Let go of the file; the next line opens it again."""
        with self._lock:
            self._close()

    def _append(self, line: bytes) -> None:
        now_s = self._now_s()
        if now_s >= self._ends_s:
            self._begin_period()
            self._look_s = 0.0
        if not self._look_s <= now_s < self._look_s + LOOK_EVERY_S:
            self._follow_path()
            self._look_s = now_s
        self._put(line)
        if self._is_full():
            with self._rotating() as mine:
                if mine and self._is_current() and self._is_full():
                    self._rename()
            self._look_s = 0.0

    def _put(self, line: bytes) -> None:
        """One write; what the disk had no room for is made up for, or marked."""
        if self._torn:
            line = b"\n" + line
        written = write(self._fd, line)
        if written == len(line):
            self._torn = False
            return
        self._torn = True
        if written == 0 or write(self._fd, line[written:]) < len(line) - written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._torn = False

    def _follow_path(self) -> None:
        if self._fd != _NONE:
            if not self._regular or self._is_current():
                return
            self._close()
        try:
            fd = os.open(self._path, _FLAGS, PRIVATE_FILE)
        except FileNotFoundError:
            make_private_folder(self._path.parent)
            fd = os.open(self._path, _FLAGS, PRIVATE_FILE)
        status = os.fstat(fd)
        self._fd = fd
        self._identity = (status.st_dev, status.st_ino)
        self._regular = stat.S_ISREG(status.st_mode)
        if status.st_size == 0:
            give_to_owner_above(self._path)

    def _is_current(self) -> bool:
        try:
            status = os.stat(self._path)  # noqa: PTH116 - on every line
        except FileNotFoundError:
            return False
        return (status.st_dev, status.st_ino) == self._identity

    def _is_full(self) -> bool:
        """Whether it has reached its size, by where the last write ended."""
        most = self._rotation.max_bytes
        return 0 < most <= os.lseek(self._fd, 0, os.SEEK_CUR) and self._regular

    def _close(self) -> None:
        self._look_s = 0.0
        if self._fd != _NONE:
            fd, self._fd = self._fd, _NONE
            os.close(fd)

    # --- rotation

    def _begin_period(self) -> None:
        """The first line of this process in a day or week: the lock's file says whose it is."""
        now_s = self._now_s()
        period = self._rotation.period(now_s)
        if period and self._path.exists() and stat.S_ISREG(self._path.stat().st_mode):
            with self._rotating(wait=True) as mine:
                if mine:
                    last = self._recorded_period()
                    if last < period and self._path.exists() and self._path.stat().st_size:
                        self._rename()
                    self._record_period(period)
        self._ends_s = self._rotation.ends_s(now_s)

    def _recorded_period(self) -> int:
        try:
            return int(self._lock_path.read_text())
        except ValueError:  # the first time: by when the file was written last
            return self._rotation.period(self._path.stat().st_mtime)

    def _record_period(self, period: int) -> None:
        self._lock_path.write_text(str(period))

    @property
    def _lock_path(self) -> Path:
        return self._path.with_name(f".{self._path.name}.lock")

    @contextlib.contextmanager
    def _rotating(self, *, wait: bool = False) -> Iterator[bool]:
        """Hold the lock of all writers; False where another one has it, or it can't be had."""
        try:
            fd = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | CLOEXEC, PRIVATE_FILE)
        except OSError:
            yield False  # a folder that takes no new files: nothing can be renamed in it either
            return
        try:
            give_to_owner_above(self._lock_path)
            mine = try_lock(fd)
            patience = 1000 if wait else 0
            while not mine and patience:
                time.sleep(0.001)
                mine = try_lock(fd)
                patience -= 1
            yield mine
        finally:
            let_go(fd)

    def _rename(self) -> None:
        """Away with the full file; called with the lock."""
        self._path.rename(self._free_path())
        full = sorted(self._path.parent.glob(f"{_literal(self._path.name)}.*T*Z"))
        spared = self._full_path(self._now_s() - SPARED_S)
        for path in full[: max(len(full) - self._keep, 0)]:
            if path < spared:
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()

    def _full_path(self, now_s: float) -> Path:
        """``site.log.20261121T183000.123456Z``: sorts by time."""
        moment = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now_s))
        return self._path.with_name(f"{self._path.name}.{moment}.{now_s % 1 * 1e6:06.0f}Z")

    def _free_path(self) -> Path:
        now_s = self._now_s()
        while (path := self._full_path(now_s)).exists():
            now_s += 1e-5
        return path

    def _fail(self, error: OSError) -> None:
        self.lost += 1
        self._failed_at_s = time.monotonic()
        with contextlib.suppress(OSError):
            self._close()
        if not self._said:
            self._said = True
            _logger.warning(
                "The log file can't be written (%s); records go on without it, and it is tried "
                "again from time to time.",
                error.strerror,
            )


def _literal(name: str) -> str:
    """``name`` for a glob pattern."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)
