"""Sketches that all processes of a host add to: a file in the folder of their sums."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from time import sleep
from typing import TYPE_CHECKING

from otel_django.file_lock import BINARY, CLOEXEC, let_go
from otel_django.metrics.distinct import Sketches, size
from otel_django.private_folder import NOFOLLOW, PRIVATE_FILE, give_to_owner_above

if TYPE_CHECKING:
    from pathlib import Path

    from otel_django.metrics.distinct import Marks, Window
    from otel_django.metrics.host_folder import HostFolder


class SharedSketches:
    """The host's, in a file ``name``; this process's own where there can't be a folder."""

    def __init__(
        self, windows: Sequence[Window], name: str, open_folder: Callable[[], HostFolder | None]
    ) -> None:
        self._windows = windows
        self._size = size(windows)
        self._name = name
        self._open_folder = open_folder
        self._folder: HostFolder | None = None
        self._opened = False
        self._own = bytearray()

    def raise_to(self, marks: Marks, now_s: float) -> bool:
        """Add ``marks`` to those of now; False: another process is at it, or the disk fails."""
        folder = self._host_folder()
        if folder is None:
            Sketches(self._windows, self._own).raise_to(marks, now_s)
            return True
        try:
            lock = folder.lock(f"{self._name}.lock")
            if lock is None:
                return False
            try:
                self._write(folder.path / self._name, marks, now_s)
            finally:
                let_go(lock)
        except OSError:
            return False
        return True

    def counts(self, now_s: float) -> dict[str, int]:
        """By window; empty where there is nothing yet, or nothing that can be read."""
        folder = self._host_folder()
        memory = self._own
        if folder is not None:
            try:
                memory = bytearray((folder.path / self._name).read_bytes())
            except OSError:
                return {}
        if len(memory) != self._size or not any(memory):
            return {}
        sketches = Sketches(self._windows, memory)
        return {window.name: sketches.count(window.name, now_s, _pause) for window in self._windows}

    def _host_folder(self) -> HostFolder | None:
        if not self._opened:
            self._opened = True
            self._folder = self._open_folder()
            if self._folder is None:
                self._own = bytearray(self._size)
        return self._folder

    def _write(self, path: Path, marks: Marks, now_s: float) -> None:
        """Into the file, which begins anew if it can't be ours."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | NOFOLLOW | CLOEXEC | BINARY, PRIVATE_FILE)
        try:
            memory = bytearray(os.read(fd, self._size + 1))
            if len(memory) != self._size:
                memory = bytearray(self._size)
                os.ftruncate(fd, 0)
                os.ftruncate(fd, self._size)
                give_to_owner_above(path)
            for part in Sketches(self._windows, memory).raise_to(marks, now_s):
                os.lseek(fd, part.start, os.SEEK_SET)
                os.write(fd, memory[part])
        finally:
            os.close(fd)


def _pause() -> None:
    """Let other threads go on."""
    sleep(0)
