"""What happened while the database is away, in a file of this host: it survives a power cut.

A line is eight hexadecimal digits (the CRC-32 of the rest), a space and JSON in ASCII. A process
that dies while it writes leaves a torn last line, which the next one cuts off.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from otel_django.alerts.keeping.documents import written
from otel_django.file_lock import BINARY, CLOEXEC, let_go, try_lock
from otel_django.private_folder import NOFOLLOW, PRIVATE_FILE, make_private_folder

NAME: Final = "alerts.journal"
LOCK: Final = "alerts.lock"
_DIGITS: Final = 8


class JournalError(OSError):
    """It can't be written; nothing of it was."""


class Journal:
    """The journal in ``folder``. One process has it at a time; to be used by one thread at a time.

    ``lost`` counts lines that were harmed.
    """

    def __init__(self, folder: Path) -> None:
        self.lost = 0
        self.size_bytes = 0
        self._folder = folder
        self._path = folder / NAME
        self._lock_fd: int | None = None
        self._fd: int | None = None

    def open(self) -> list[Any] | None:
        """Take it, and give what it has; None: another process of this host has it.

        Raises:
            OSError: the folder or the file can't be used.
        """
        if self._lock_fd is not None:
            return []
        make_private_folder(self._folder)
        lock_fd = _opened(self._folder / LOCK, os.O_RDWR | os.O_CREAT)
        try:
            if not try_lock(lock_fd):
                os.close(lock_fd)
                return None
            records = self._read()
        except OSError:
            let_go(lock_fd)
            raise
        self._lock_fd = lock_fd
        return records

    def _read(self) -> list[Any]:
        fd = _opened(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        try:
            with os.fdopen(os.dup(fd), "rb") as file:
                data = file.read()
            end = data.rfind(b"\n") + 1
            if end < len(data):
                os.ftruncate(fd, end)
        except OSError:
            os.close(fd)
            raise
        self._fd, self.size_bytes = fd, end
        found = [_record(line) for line in data[:end].splitlines()]
        self.lost += found.count(None)
        return [one for one in found if one is not None]

    def append(self, record: object) -> None:
        """Keep it, on the disk before this returns.

        Raises:
            JournalError: it isn't kept.
        """
        if self._fd is None:
            raise JournalError("not open")
        try:
            _write(self._fd, _line(record))
            os.fsync(self._fd)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self.size_bytes)
            raise JournalError(error.errno, error.strerror) from error
        self.size_bytes = os.fstat(self._fd).st_size

    def replace(self, records: Iterable[object]) -> None:
        """Keep these instead of all there is, or all there is.

        Raises:
            JournalError: nothing has changed.
        """
        if self._lock_fd is None:
            raise JournalError("not open")
        new = self._path.with_suffix(".new")
        try:
            fd = _opened(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
            try:
                for record in records:
                    _write(fd, _line(record))
                os.fsync(fd)
                new.replace(self._path)
            except OSError:
                os.close(fd)
                raise
            _sync(self._folder)
        except OSError as error:
            with contextlib.suppress(OSError):
                new.unlink()
            raise JournalError(error.errno, error.strerror) from error
        self._close_file()
        self._fd, self.size_bytes = fd, os.fstat(fd).st_size

    def close(self) -> None:
        """Let another process have it."""
        self._close_file()
        if self._lock_fd is not None:
            let_go(self._lock_fd)
            self._lock_fd = None

    def _close_file(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _opened(path: Path, flags: int) -> int:
    return os.open(path, flags | NOFOLLOW | CLOEXEC | BINARY, PRIVATE_FILE)


def _line(record: object) -> bytes:
    text = written(record).encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _record(line: bytes) -> Any:
    """None: it isn't as it was written."""
    digits, text = line[:_DIGITS], line[_DIGITS + 1 :]
    if digits != b"%08x" % zlib.crc32(text):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def _write(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _sync(folder: Path) -> None:
    """So that the new name, too, is on the disk; not every system can."""
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY | CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
