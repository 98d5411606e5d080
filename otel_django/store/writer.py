"""The sink that writes spans to the embedded store."""

from __future__ import annotations

import errno
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol

from otel_django import guard
from otel_django.clock import SYSTEM_CLOCK, Clock
from otel_django.errors import StoreError
from otel_django.store import connection as opening
from otel_django.store import schema, slices
from otel_django.store.fork_gate import GATE
from otel_django.store.retention import Retention
from otel_django.store.rows import Packer
from otel_django.store.slices import Limits, Slice

if TYPE_CHECKING:
    from otel_django.tracing.span import Span

SPANS_A_TRANSACTION: Final = 512
LARGE_BYTES_A_TRANSACTION: Final = 2 * 1024 * 1024
MAX_WAITING_SPANS: Final = 8_192
BUSY_TIMEOUT_S: Final = 0.25
BUSY_RETRY_S: Final = 0.2
FULL_RETRY_S: Final = 5.0
LOOK_AFTER_S: Final = 1.0
HOUSEKEEPING_S: Final = 15.0
MORE_HOUSEKEEPING_S: Final = 0.05

Outcome = Literal["written", "retry", "lost"]

_logger = logging.getLogger(guard.LOGGER_NAME)


class DropCounter(Protocol):
    """What counts lost spans (``pipeline.drops.Drops``)."""

    def add(self, signal: str, cause: str, count: int) -> None:
        """``count`` items of ``signal`` were lost."""
        ...


class StoreWriter:
    """Writes batches to the store at ``path``, one statement a transaction.

    The file is made at the first batch. Spans that can't be written now wait in memory (8,192 at
    most) while waiting helps: the file is locked by others, the disk is full. What is lost is
    counted as ``store_error``. On a read-only disk, or when the file isn't ours, the store is off:
    ``problem`` says why, and the log has it once.

    Args:
        path: the file; its folder is made when missing.
        retention_hours, max_mb: how much is kept; the file may exceed ``max_mb`` for a moment.
        drops: told what is lost.
        pause: gives up the interpreter lock; called at least every 0.25 ms of Python work.
        fts: whether to index words; None: if this SQLite can.
    """

    def __init__(
        self,
        path: Path,
        *,
        retention_hours: float,
        max_mb: float,
        drops: DropCounter,
        clock: Clock = SYSTEM_CLOCK,
        pause: Callable[[], None] = lambda: time.sleep(0),
        fts: bool | None = None,
        migrations: tuple[tuple[str, ...], ...] = schema.MIGRATIONS,
    ) -> None:
        self.path = path
        self.problem: str | None = None
        self._limits = Limits(int(retention_hours * 3600 * 1e9), int(max_mb * 1024 * 1024))
        self._drops = drops
        self._clock = clock
        self._fts = fts
        self._migrations = migrations
        self._packer = Packer(pause)
        self._lock = threading.Lock()
        self._waiting: deque[list[Span]] = deque()
        self._waiting_spans = 0
        self._said: set[str] = set()
        self._connection: sqlite3.Connection | None = None
        self._forget_file()
        self._retry_at_s = self._look_at_s = self._housekeeping_at_s = 0.0

    def _forget_file(self) -> None:
        self._slice: Slice | None = None
        self._file_id: tuple[int, int] | None = None
        self._retention = Retention(self.path, self._limits)
        self._packer.new_slice()

    # --- Sink

    def accept(self, batch: Sequence[Span]) -> None:
        """Write the batch, or keep it for the next try."""
        if self.problem is None:
            self.spill(batch)
            if self._clock.monotonic_s() >= self._retry_at_s:
                self._write_waiting()

    def spill(self, batch: Sequence[Span]) -> None:
        """Keep the batch for the worker thread's next turn; on any thread."""
        if self.problem is not None:
            return
        excess = 0
        with self._lock:
            for chunk in _chunks(batch):
                self._waiting.append(chunk)
                self._waiting_spans += len(chunk)
            while self._waiting_spans > MAX_WAITING_SPANS:
                excess += self._take_oldest()
        self._lose(excess)

    def hold(self) -> None:
        """Nothing to do: writing takes no network, and the worker thread is at it."""

    def poll(self, now_s: float) -> float | None:
        """Retry what waits, begin the next slice when due, do a step of the housekeeping."""
        if self.problem is not None:
            return None
        if self._waiting and now_s >= self._retry_at_s:
            self._write_waiting()
        if self._waiting:
            return max(self._retry_at_s - now_s, 0.01)
        if self._slice is None:
            return None
        if now_s >= self._housekeeping_at_s:
            more = self._keep_house()
            self._housekeeping_at_s = now_s + (MORE_HOUSEKEEPING_S if more else HOUSEKEEPING_S)
        return self._housekeeping_at_s - now_s

    def flush(self, deadline_s: float) -> bool:
        """Try to write what waits until ``deadline_s``; True if nothing is left."""
        while self.problem is None and self._waiting:
            self._write_waiting()
            if self._clock.monotonic_s() >= deadline_s:
                break
            if self._waiting:
                time.sleep(0.02)
        return not self._waiting

    def close(self, deadline_s: float) -> None:
        """Flush, count what couldn't be written as lost, close the file."""
        self.flush(deadline_s)
        self._lose_waiting()
        self.release()

    def after_fork(self) -> None:
        """In a child: what waits is the parent's to write; its connection was closed before."""
        self._lock = threading.Lock()
        self._waiting.clear()
        self._waiting_spans = 0
        self._connection = None
        self._forget_file()

    def release(self) -> None:
        """Close the connection; the next batch opens it again."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            try:
                connection.close()
            except sqlite3.Error:
                guard.caught("store.close")
            finally:
                GATE.closed()

    # --- writing

    def _write_waiting(self) -> None:
        while self.problem is None and self._waiting:
            chunk = self._waiting[0]
            outcome = self._write(chunk)
            if outcome == "retry":
                return
            with self._lock:
                # Meanwhile another thread may have dropped it for being the oldest.
                if self._waiting and self._waiting[0] is chunk:
                    self._take_oldest()
            if outcome == "lost":
                self._lose(len(chunk))

    def _take_oldest(self) -> int:
        count = len(self._waiting.popleft())
        self._waiting_spans -= count
        return count

    def _write(self, chunk: list[Span]) -> Outcome:
        """Write one transaction's worth; errors become an outcome."""
        for _ in range(3):
            try:
                with GATE.using():
                    self._insert(chunk)
                return "written"
            except Exception as error:
                outcome = self._judge(error, chunk)
            if outcome is not None:
                return outcome
        return "lost"

    def _insert(self, chunk: list[Span]) -> None:
        connection = self._open()
        now_s = self._clock.monotonic_s()
        if self._slice is None or now_s >= self._look_at_s:
            connection = self._look(connection)
            self._look_at_s = now_s + LOOK_AFTER_S
        if self._slice is not None:
            connection.execute(schema.ingest(self._slice.id), self._packer.pack(chunk))
            self._packer.written()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            if self._fts is None:
                self._fts = opening.has_fts5()
            self._connection = opening.open_writer(self.path, BUSY_TIMEOUT_S, self._migrations)
            GATE.opened(self)
            self._file_id = opening.file_id(self.path)
        return self._connection

    def _look(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """Once a second: is the file still there, is the slice still the one to write to?"""
        if opening.file_id(self.path) != self._file_id:
            self.release()
            self._forget_file()
            connection = self._open()
        found = slices.current(
            connection,
            self._limits,
            self._clock.now_ns(),
            len(self._migrations),
            fts=bool(self._fts),
        )
        if self._slice is None or found.id != self._slice.id:
            self._slice = found
            self._packer.new_slice()
        return connection

    # --- when it fails

    def _judge(self, error: Exception, chunk: list[Span]) -> Outcome | None:
        """What an error means for the chunk; None: try again at once."""
        found = _cause(error)
        if found == "slice":
            self._slice = None
            return self._newer_schema()
        if found == "busy":
            self._retry_at_s = self._clock.monotonic_s() + BUSY_RETRY_S
            return "retry"
        if found == "full":
            self._say("the disk is full or failing; spans wait a little, then are lost", error)
            self._retry_at_s = self._clock.monotonic_s() + FULL_RETRY_S
            self._slice = None
            self.release()
            return "retry"
        if found == "read_only":
            return self._switch_off(f"{self.path} can't be written: {error}")
        if found == "corrupt":
            return self._set_aside(error)
        if isinstance(error, StoreError):
            return self._switch_off(str(error))
        return self._divide(error, chunk)

    def _newer_schema(self) -> Outcome | None:
        """The slice ended; perhaps because a newer version of ours migrated the file."""
        if self._connection is None:
            return None
        try:
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.Error:
            return None
        if version <= len(self._migrations):
            return None
        return self._switch_off(f"{self.path} is written by a newer otel_django (schema {version})")

    def _divide(self, error: Exception, chunk: list[Span]) -> Outcome:
        """Something in the chunk can't be written: find the span, keep the rest."""
        if len(chunk) == 1:
            if not isinstance(error, sqlite3.Error):
                guard.caught("store.write")
            self._say("a span could not be written", error)
            return "lost"
        half = len(chunk) // 2
        for part in (chunk[:half], chunk[half:]):
            if self._write(part) != "written":
                self._lose(len(part))
        return "written"

    def _set_aside(self, error: Exception) -> Outcome | None:
        """Begin a new file; what was in the damaged one can still be looked at."""
        damaged = self._file_id or opening.file_id(self.path)
        self.release()
        self._forget_file()
        target = opening.set_aside(self.path, damaged, self._clock.now_ns())
        if target is not None:
            text = f"{self.path} was damaged and is now {target.name}; a new store has begun"
            _logger.warning("%s (%s)", text, error)
            return None
        # Another process is at it, or has done it.
        self._retry_at_s = self._clock.monotonic_s() + BUSY_RETRY_S
        return "retry"

    def _switch_off(self, problem: str) -> Outcome:
        self.problem = problem
        self.release()
        _logger.error("the embedded store is off: %s", problem)
        self._lose_waiting()
        return "written"  # counted with the others

    def _say(self, text: str, error: Exception) -> None:
        """Log once a text and process."""
        if text not in self._said:
            self._said.add(text)
            _logger.warning("embedded store %s: %s (%s)", self.path, text, error)

    def _lose_waiting(self) -> None:
        with self._lock:
            count, self._waiting_spans = self._waiting_spans, 0
            self._waiting.clear()
        self._lose(count)

    def _lose(self, count: int) -> None:
        if count:
            self._drops.add("traces", "store_error", count)

    # --- housekeeping

    def _keep_house(self) -> bool:
        """One step of retention; True if there may be more to do at once."""
        try:
            with GATE.using():
                self._look(self._open())
                return self._retention.step(self._open(), self._clock.now_ns())
        except (sqlite3.Error, OSError, StoreError) as error:
            if _cause(error) == "corrupt":
                self._set_aside(error)
            elif _cause(error) not in {"busy", "slice"}:
                self._say("housekeeping failed", error)
            return False


def _cause(error: Exception) -> opening.Cause:
    if isinstance(error, OSError):
        return "full" if error.errno in {errno.ENOSPC, errno.EDQUOT} else "read_only"
    return opening.cause(error)


def _chunks(batch: Sequence[Span]) -> Iterator[list[Span]]:
    """Parts of a batch that are each small enough for a short transaction."""
    chunk: list[Span] = []
    large_bytes = 0
    for span in batch:
        chunk.append(span)
        large_bytes += span._large_bytes
        if len(chunk) == SPANS_A_TRANSACTION or large_bytes > LARGE_BYTES_A_TRANSACTION:
            yield chunk
            chunk, large_bytes = [], 0
    if chunk:
        yield chunk
