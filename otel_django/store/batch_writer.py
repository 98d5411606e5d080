"""What the sinks of all signals have in common: batches that wait, are written, or are lost."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, Protocol, TypeVar

from otel_django import guard
from otel_django.clock import SYSTEM_CLOCK, Clock
from otel_django.store.fork_gate import GATE

if TYPE_CHECKING:
    from otel_django.store.file import StoreFile

ITEMS_A_TRANSACTION: Final = 512
LARGE_BYTES_A_TRANSACTION: Final = 2 * 1024 * 1024
MAX_WAITING: Final = 8_192

Outcome = Literal["written", "retry", "lost"]


class DropCounter(Protocol):
    """What counts lost items (``pipeline.drops.Drops``)."""

    def add(self, signal: str, cause: str, count: int) -> None:
        """``count`` items of ``signal`` were lost."""
        ...


class Item(Protocol):
    """``_large_bytes`` is what an item holds in long texts beyond the average."""

    @property
    def _large_bytes(self) -> int: ...


ItemT = TypeVar("ItemT", bound=Item)
PackedT_contra = TypeVar("PackedT_contra", bound=Item, contravariant=True)


class Packer(Protocol[PackedT_contra]):
    """Turns items into the arguments of one ingest statement."""

    def new_slice(self) -> None:
        """The next rows go to a slice that has nothing yet."""
        ...

    def pack(self, items: Sequence[PackedT_contra]) -> tuple[Any, ...]:
        """The arguments."""
        ...

    def written(self) -> None:
        """The last ``pack`` is in the store."""
        ...


class BatchWriter(Generic[ItemT]):
    """A ``Sink`` that writes to the store, one statement a transaction.

    Items that can't be written now wait in memory (8,192 at most) while waiting helps: the file is
    locked by others, the disk is full. What is lost is counted as ``store_error`` of ``signal``.
    """

    def __init__(
        self,
        file: StoreFile,
        packer: Packer[ItemT],
        ingest: Callable[[int], str],
        *,
        signal: str,
        drops: DropCounter,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.file = file
        self._packer = packer
        self._ingest = ingest
        self._signal = signal
        self._drops = drops
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: deque[list[ItemT]] = deque()
        self._waiting_count = 0
        self._generation = 0

    # --- Sink

    def accept(self, batch: Sequence[ItemT]) -> None:
        """Write the batch, or keep it for the next try."""
        if self.file.problem is None:
            self.spill(batch)
            if self._clock.monotonic_s() >= self.file.retry_at_s:
                self._write_waiting()

    def spill(self, batch: Sequence[ItemT]) -> None:
        """Keep the batch for the worker thread's next turn; on any thread."""
        if self.file.problem is not None:
            return
        excess = 0
        with self._lock:
            for chunk in _chunks(batch):
                self._waiting.append(chunk)
                self._waiting_count += len(chunk)
            while self._waiting_count > MAX_WAITING:
                excess += self._take_oldest()
        self._lose(excess)

    def hold(self) -> None:
        """Nothing to do: writing takes no network, and the worker thread is at it."""

    def poll(self, now_s: float) -> float | None:
        """Retry what waits, begin the next slice when due, do a step of the housekeeping."""
        if self.file.problem is not None:
            self._lose_waiting()
            return None
        if self._waiting and now_s >= self.file.retry_at_s:
            self._write_waiting()
        if self._waiting:
            return max(self.file.retry_at_s - now_s, 0.01)
        return self.file.keep_house(now_s)

    def flush(self, deadline_s: float) -> bool:
        """Try to write what waits until ``deadline_s``; True if nothing is left."""
        while self.file.problem is None and self._waiting:
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
        self._waiting_count = 0
        self.file.after_fork()

    def release(self) -> None:
        """Close the file; the next batch opens it again."""
        self.file.release()

    # --- writing

    def _write_waiting(self) -> None:
        while self.file.problem is None and self._waiting:
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
        if self.file.problem is not None:
            self._lose_waiting()

    def _take_oldest(self) -> int:
        count = len(self._waiting.popleft())
        self._waiting_count -= count
        return count

    def _write(self, chunk: list[ItemT]) -> Outcome:
        """Write one transaction's worth; errors become an outcome."""
        for _ in range(3):
            if self.file.problem is not None:
                return "lost"
            try:
                with GATE.using():
                    self._insert(chunk)
                return "written"
            except Exception as error:
                verdict = self.file.judge(error, self._signal)
                if verdict == "unfit":
                    return self._divide(error, chunk)
            if verdict == "retry":
                return "retry"
        return "lost"

    def _insert(self, chunk: list[ItemT]) -> None:
        connection, number, generation = self.file.target()
        if generation != self._generation:
            self._packer.new_slice()
            self._generation = generation
        connection.execute(self._ingest(number), self._packer.pack(chunk))
        self._packer.written()

    def _divide(self, error: Exception, chunk: list[ItemT]) -> Outcome:
        """Something in the chunk can't be written: find it, keep the rest."""
        if len(chunk) == 1:
            if not isinstance(error, sqlite3.Error):
                guard.caught("store.write")
            self.file.say(f"something of the {self._signal} could not be written", error)
            return "lost"
        half = len(chunk) // 2
        for part in (chunk[:half], chunk[half:]):
            if self._write(part) != "written":
                self._lose(len(part))
        return "written"

    def _lose_waiting(self) -> None:
        with self._lock:
            count, self._waiting_count = self._waiting_count, 0
            self._waiting.clear()
        self._lose(count)

    def _lose(self, count: int) -> None:
        if count:
            self._drops.add(self._signal, "store_error", count)


def _chunks(batch: Sequence[ItemT]) -> Iterator[list[ItemT]]:
    """Parts of a batch that are each small enough for a short transaction."""
    chunk: list[ItemT] = []
    large_bytes = 0
    for item in batch:
        chunk.append(item)
        large_bytes += item._large_bytes
        if len(chunk) == ITEMS_A_TRANSACTION or large_bytes > LARGE_BYTES_A_TRANSACTION:
            yield chunk
            chunk, large_bytes = [], 0
    if chunk:
        yield chunk
