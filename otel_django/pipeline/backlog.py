"""What waits to be sent: on disk, and in memory as long as the disk refuses.

On disk is always older than in memory: as soon as the disk takes something again, all of it goes
there.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from otel_django.errors import SpoolError
from otel_django.pipeline.spool import SpoolFullError

if TYPE_CHECKING:
    from otel_django.clock import Clock
    from otel_django.pipeline.otlp_split import Chunk
    from otel_django.pipeline.spool import Spool, SpoolRecord

RETRY_DISK_S: Final = 5.0


class Waiting:
    """A request that waits; ``record`` is its place on disk, None for memory."""

    __slots__ = ("body", "items", "record")

    def __init__(self, body: bytes, items: int, record: SpoolRecord | None = None) -> None:
        self.body = body
        self.items = items
        self.record = record


class NotKeptError(SpoolError):
    """There is no room; ``cause`` is the one of ``Drops``."""

    def __init__(self, cause: str, reason: str) -> None:
        super().__init__(reason)
        self.cause = cause


class Backlog:
    """Any thread may call ``put``; the others are the sender's.

    ``failure`` says why the disk is refused at present, empty when it isn't.
    """

    def __init__(self, spool: Spool, clock: Clock, max_memory_bytes: int) -> None:
        self.spool = spool
        self._clock = clock
        self._max_memory_bytes = max_memory_bytes
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._memory: deque[Waiting] = deque()
        self._memory_bytes = 0
        self._next_disk_s = float("-inf")
        self.failure = ""

    def put(self, chunk: Chunk) -> Waiting:
        """Keep a request behind all others; NotKeptError when neither disk nor memory has room."""
        with self._lock:
            if self._clock.monotonic_s() >= self._next_disk_s:
                try:
                    self._memory_to_disk()
                    return self._on_disk(chunk)
                except SpoolFullError as error:
                    raise NotKeptError("spool_full", str(error)) from None
                except SpoolError as error:
                    self.failure = str(error)
                    self._next_disk_s = self._clock.monotonic_s() + RETRY_DISK_S
            return self._in_memory(chunk)

    def _on_disk(self, chunk: Chunk) -> Waiting:
        record = self.spool.append(chunk.body, chunk.items)
        self.failure = ""
        return Waiting(chunk.body, chunk.items, record)

    def _in_memory(self, chunk: Chunk) -> Waiting:
        if self._memory_bytes + len(chunk.body) > self._max_memory_bytes:
            raise NotKeptError("spool_error", self.failure)
        waiting = Waiting(chunk.body, chunk.items)
        self._memory.append(waiting)
        self._memory_bytes += len(chunk.body)
        return waiting

    def _memory_to_disk(self) -> None:
        while self._memory:
            waiting = self._memory[0]
            waiting.record = self.spool.append(waiting.body, waiting.items)
            self._forget(waiting)

    def _forget(self, waiting: Waiting) -> None:
        self._memory.remove(waiting)
        self._memory_bytes -= len(waiting.body)

    def head(self, max_items: int, max_bytes: int) -> list[Waiting]:
        """The oldest, within both limits but at least one; [] when nothing waits."""
        with self._lock:
            records = self.spool.head(max_items, max_bytes)
            if records:
                return [Waiting(record.payload, record.items, record) for record in records]
            return [self._memory[0]] if self._memory else []

    def done(self, finished: Iterable[Waiting]) -> None:
        """These were delivered, or given up for good."""
        with self._lock:
            for waiting in finished:
                if waiting.record is not None:
                    self.spool.done([waiting.record])
                elif waiting in self._memory:
                    self._forget(waiting)

    @property
    def is_empty(self) -> bool:
        """Nothing waits."""
        return not self._memory and self.spool.is_empty

    @property
    def items(self) -> int:
        """Items that wait."""
        with self._lock:
            return self.spool.items + sum(waiting.items for waiting in self._memory)

    def close(self) -> int:
        """Put everything on disk and let go of it; how many items found no room."""
        with self._lock:
            try:
                self._memory_to_disk()
            except SpoolError as error:
                self.failure = str(error)
            lost = sum(waiting.items for waiting in self._memory)
            self._memory.clear()
            self._memory_bytes = 0
            self.spool.close()
            return lost

    def after_fork(self) -> None:
        """In a forked child: what waits is the parent's."""
        self._reset()
        self.spool.after_fork()
