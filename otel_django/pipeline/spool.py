"""The spool: encoded requests on disk while the receiver is away, replayed in order.

Every process writes a directory of its own below ``root``; nothing is made before the first
append. A directory whose process is gone (its lock is free) is adopted by any living process of
the same user. The budget covers all directories below ``root``, the whole host's.

What was appended survives the death of the process, SIGKILL included; there is no fsync, so a
power cut may take the last seconds.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from otel_django.clock import SYSTEM_CLOCK
from otel_django.errors import SpoolError
from otel_django.pipeline.spool_directory import HEAD, LOCK, SEGMENT_NAME, SpoolDirectory
from otel_django.pipeline.spool_format import HEADER_SIZE, MAX_PAYLOAD
from otel_django.private_folder import make_private_folder

if TYPE_CHECKING:
    from otel_django.clock import Clock
    from otel_django.pipeline.spool_segment import Place

MAX_SEGMENT_BYTES: Final = 4 << 20
MIN_SEGMENT_BYTES: Final = 64 << 10
REFRESH_S: Final = 2.0
"""How old the sum of the other processes' files may be."""
HALF_MADE_S: Final = 60.0

_NAME: Final = re.compile(r"(traces|metrics|logs)-[0-9a-f]{8}-\d+-\d+-[0-9a-f]{8}")


class SpoolFullError(SpoolError):
    """The budget of all processes together is used up."""


class SpoolRecord(NamedTuple):
    """A waiting request. ``directory`` and ``place`` are the spool's own business."""

    payload: bytes
    items: int
    directory: SpoolDirectory
    place: Place


class Spool:
    """The spool of one signal in this process. Any thread may call; no call waits for long.

    ``on_lost`` is told how many items were found torn, harmed or gone on disk.
    """

    def __init__(
        self,
        root: Path,
        *,
        max_bytes: int,
        signal: str = "traces",
        clock: Clock = SYSTEM_CLOCK,
        on_lost: Callable[[int], None] | None = None,
    ) -> None:
        self.root = root
        self.on_lost: Callable[[int], None] = on_lost or _ignore
        self._signal = signal
        self._max_bytes = max_bytes
        self._segment_bytes = min(max(max_bytes // 16, MIN_SEGMENT_BYTES), MAX_SEGMENT_BYTES)
        self._clock = clock
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._own: SpoolDirectory | None = None
        self._adopted: list[SpoolDirectory] = []
        self._others_bytes = 0
        self._refreshed_s = float("-inf")

    # --- writing

    def append(self, payload: bytes, items: int) -> SpoolRecord:
        """Keep an encoded request of ``items`` items; returns what ``done`` takes.

        SpoolFullError when the budget is used up, SpoolError when the disk refuses; then nothing
        of it is kept.
        """
        if len(payload) > MAX_PAYLOAD:
            raise SpoolError(f"a request of {len(payload)} bytes is over the limit of 64 MiB")
        with self._lock:
            if self._used_bytes() + HEADER_SIZE + len(payload) > self._max_bytes:
                raise SpoolFullError(f"the spool has reached its {self._max_bytes >> 20} MiB")
            try:
                return self._append(payload, items)
            except OSError as error:
                self._drop_deleted_directory()
                raise SpoolError(
                    f"can't write to the spool {self.root}: {error.strerror}"
                ) from error

    def _append(self, payload: bytes, items: int) -> SpoolRecord:
        if self._own is None:
            make_private_folder(self.root)
            self._own = SpoolDirectory.create(self.root, f"{self._signal}-{_process_name()}")
        place = self._own.append(self._signal, items, payload, self._segment_bytes)
        return SpoolRecord(payload, items, self._own, place)

    def _drop_deleted_directory(self) -> None:
        """Someone removed our directory: the next append makes another one."""
        if self._own is not None and not self._own.path.exists():
            self._report_lost(self._own, self._own.items)
            self._own.abandon()
            self._own = None

    # --- reading

    def head(self, max_items: int, max_bytes: int) -> list[SpoolRecord]:
        """The oldest records, of one directory, within both limits but at least one."""
        with self._lock:
            for directory in self._directories():
                found = [
                    SpoolRecord(record.payload, record.place.items, directory, record.place)
                    for record in directory.peek(max_items, max_bytes)
                ]
                self._report_lost(directory)
                if found:
                    return found
                self._let_go(directory)
            return []

    def done(self, records: Iterable[SpoolRecord]) -> None:
        """These were delivered, or given up for good."""
        with self._lock:
            for record in records:
                record.directory.done(record.place)
                self._let_go(record.directory)

    def _let_go(self, directory: SpoolDirectory) -> None:
        if directory in self._adopted and directory.is_empty:
            self._adopted.remove(directory)
            directory.close()

    def _report_lost(self, directory: SpoolDirectory, more: int = 0) -> None:
        lost, directory.lost_items = directory.lost_items + more, 0
        if lost:
            self.on_lost(lost)

    def _directories(self) -> list[SpoolDirectory]:
        own = [] if self._own is None else [self._own]
        return [*self._adopted, *own]

    # --- other processes' directories

    @property
    def has_adopted(self) -> bool:
        """Something of other processes waits in this one."""
        return bool(self._adopted)

    def adopt_orphans(self, limit: int = 1) -> int:
        """Take over up to ``limit`` directories of processes that are gone, oldest first.

        Does nothing while adopted ones are still being replayed. Returns how many.
        """
        if self._adopted:
            return 0
        taken = 0
        for path in self._candidates():
            directory = SpoolDirectory.adopt(path)
            if directory is None:
                continue
            if directory.is_empty:
                directory.close()
                continue
            with self._lock:
                self._adopted.append(directory)
            taken += 1
            if taken == limit:
                break
        return taken

    def _candidates(self) -> list[Path]:
        found = []
        own = None if self._own is None else self._own.path.name
        for entry in self._entries():
            match = _NAME.fullmatch(entry.name)
            if match and match[1] == self._signal and entry.name != own:
                with contextlib.suppress(OSError):
                    found.append((entry.stat(follow_symlinks=False).st_ctime, entry.path))
            elif entry.name.startswith(".new-"):
                _remove_half_made(Path(entry.path))
        return [Path(path) for _, path in sorted(found)]

    def _entries(self) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.root) as entries:
                return [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            return []

    # --- size

    @property
    def items(self) -> int:
        """Items that wait in this process's directories."""
        with self._lock:
            return sum(directory.items for directory in self._directories())

    @property
    def is_empty(self) -> bool:
        """Nothing waits in this process's directories."""
        return all(directory.is_empty for directory in self._directories())

    @property
    def size_bytes(self) -> int:
        """Bytes on disk of all processes, as far as known."""
        with self._lock:
            return self._used_bytes()

    def _used_bytes(self) -> int:
        now_s = self._clock.monotonic_s()
        directories = self._directories()
        if now_s - self._refreshed_s > REFRESH_S:
            self._refreshed_s = now_s
            known = {directory.path.name for directory in directories}
            self._others_bytes = sum(
                _segments_bytes(entry.path)
                for entry in self._entries()
                if entry.name not in known and _NAME.fullmatch(entry.name)
            )
        return self._others_bytes + sum(directory.size_bytes for directory in directories)

    # --- end

    def close(self) -> None:
        """Let go of everything; what waits stays on disk for whoever adopts it."""
        with self._lock:
            for directory in self._directories():
                directory.close()
            self._own = None
            self._adopted = []

    def after_fork(self) -> None:
        """In a forked child: the directories stay the parent's."""
        directories = self._directories()
        self._reset()
        for directory in directories:
            directory.abandon()


def _ignore(count: int) -> None:
    return


def _segments_bytes(folder: str) -> int:
    total = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if SEGMENT_NAME.fullmatch(entry.name):
                total += entry.stat(follow_symlinks=False).st_size
    return total


def _remove_half_made(path: Path) -> None:
    """The process died between making the directory and giving it its name."""
    with contextlib.suppress(OSError):
        if time.time() - path.lstat().st_ctime > HALF_MADE_S:
            for name in (HEAD, LOCK):
                with contextlib.suppress(OSError):
                    (path / name).unlink()
            path.rmdir()


def _process_name() -> str:
    """Boot id, pid and start time, and eight random digits: containers reuse pids."""
    return f"{_boot_id()}-{os.getpid()}-{_start_time()}-{secrets.token_hex(4)}"


@functools.cache
def _boot_id() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        boot = ""
    digits = re.sub("[^0-9a-f]", "", boot.lower())
    return digits[:8].ljust(8, "0")


def _start_time() -> int:
    """This process's start in clock ticks since boot on Linux, elsewhere now, in seconds."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, ValueError, IndexError):
            stat = Path("/proc/self/stat").read_text()
            return int(stat.rpartition(")")[2].split()[19])
    return int(time.time())
