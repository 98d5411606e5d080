"""The board of one host: lock files and results in the folder of its processes.

A lease is a lock that ends with its process. While that lives it runs out only if it isn't renewed:
of a process that was stopped.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from otel_django.observers.board import BoardAway, Result
from otel_django.private_folder import PRIVATE_FILE, give_to_owner_above

if TYPE_CHECKING:
    from pathlib import Path

    from otel_django.metrics.host_folder import HostFolder

_ENDING: Final = ".observed"


class FolderBoard:
    """In ``folder``; the leases are this process's, whatever ``owner`` says."""

    def __init__(self, folder: HostFolder) -> None:
        self._folder = folder
        self._locks: dict[str, int] = {}

    def claim(self, name: str, owner: str, ttl_s: float) -> bool:
        """Hold the lock until it is released, the process ends, or it isn't renewed in time."""
        lock = f"{_file_name(name)}.lock"
        with _away():
            fd = self._locks.get(name)
            if fd is not None and not self._folder.has(lock, fd):  # the folder was emptied
                self.release(name, owner)
                fd = None
            if fd is None:
                fd = self._folder.lock(lock)
                if fd is None:
                    fd = self._take_over(lock, ttl_s)
                if fd is None:
                    return False
                self._locks[name] = fd
            os.utime(fd)
            return True

    def _take_over(self, lock: str, ttl_s: float) -> int | None:
        """With a new file: who held the old one finds out at its next claim."""
        path = self._folder.path / lock
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime <= ttl_s:
                return None
            path.unlink()
        return self._folder.lock(lock)

    def release(self, name: str, owner: str) -> None:
        """Let go of the lock."""
        fd = self._locks.pop(name, None)
        if fd is not None:
            os.close(fd)

    def release_all(self) -> None:
        """Let go of all locks; in a forked child, of the copies."""
        for name in list(self._locks):
            self.release(name, "")

    def put(self, name: str, owner: str, text: str) -> bool:
        """Leave a result while the lock is held."""
        if name not in self._locks:
            return False
        self.post(name, owner, text)
        return True

    def post(self, name: str, owner: str, text: str, age_s: float = 0.0) -> None:
        """Leave a result, which may be older than now: a new file in place of the old one."""
        path = self._path(name)
        new = path.with_name(f".new-{os.getpid()}-{path.name}")
        with _away():
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                file.write(f"{owner}\n{text}")
            give_to_owner_above(new)
            seen_s = time.time() - age_s
            os.utime(new, (seen_s, seen_s))
            new.replace(path)

    def get(self, name: str) -> Result | None:
        """What was left last; its age is the file's."""
        with _away():
            return _read(self._path(name))

    def posted(self, prefix: str) -> Mapping[str, Result]:
        """What was left under names that begin so."""
        start = _file_name(prefix)
        found = {}
        with _away():
            for path in self._folder.path.iterdir():
                if path.name.startswith(start) and path.name.endswith(_ENDING):
                    result = _read(path)
                    if result is not None:
                        found[unquote(path.name[len(start) : -len(_ENDING)])] = result
        return found

    def remove(self, name: str, owner: str | None = None) -> None:
        """Delete the file."""
        path = self._path(name)
        with _away(), contextlib.suppress(FileNotFoundError):
            if owner is None or path.read_text(encoding="utf-8").startswith(f"{owner}\n"):
                path.unlink()

    def _path(self, name: str) -> Path:
        return self._folder.path / f"{_file_name(name)}{_ENDING}"


def _file_name(name: str) -> str:
    return quote(name, safe="")


def _read(path: Path) -> Result | None:
    try:
        age_s = max(0.0, time.time() - path.stat().st_mtime)
        return Result(path.read_text(encoding="utf-8").partition("\n")[2], age_s)
    except FileNotFoundError:
        return None


@contextlib.contextmanager
def _away() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BoardAway(type(error).__name__) from error
