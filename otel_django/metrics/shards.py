"""Each thread's own cells, found without a lock; those of threads that have ended, folded."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_django.metrics.instruments import Summed

Values = tuple[Any, ...]
FOLD_FROM: Final = 64


class Shard(dict["Summed[Any]", dict[Values, Any]]):
    """One thread's cells, by instrument and values."""

    def __missing__(self, instrument: Summed[Any]) -> dict[Values, Any]:
        return self.setdefault(instrument, {})


class _Life:
    """Held by its thread alone: gone when the thread is."""

    __slots__ = ("__weakref__",)


class ThreadShard(threading.local):
    """``shard`` is the running thread's."""

    def __init__(self, shards: Shards) -> None:
        self.shard = Shard()
        self._life = _Life()
        shards.joined(self.shard, weakref.ref(self._life))


class Shards:
    """The cells of all threads of a process."""

    def __init__(self) -> None:
        self._reading = threading.RLock()  # a signal's handler may collect, too
        self._busy = False
        self._threads: deque[tuple[weakref.ref[_Life], Shard]] = deque()
        self._ended = Shard()
        self._fold_at = FOLD_FROM
        self.own = ThreadShard(self)

    def joined(self, shard: Shard, life: weakref.ref[_Life]) -> None:
        """A thread takes its first measurement."""
        self._threads.append((life, shard))
        # A site with a thread a request has many between two collections.
        if len(self._threads) >= self._fold_at and self._reading.acquire(blocking=False):
            try:
                with self.read():
                    pass  # to read begins with folding
            finally:
                self._reading.release()

    @contextlib.contextmanager
    def read(self) -> Iterator[list[Shard]]:
        """All shards; each measurement is in one of them, and none is folded meanwhile."""
        with self._reading:
            nested, self._busy = self._busy, True
            try:
                if not nested:
                    self._fold()
                yield [self._ended, *(shard for _, shard in self._threads.copy())]
            finally:
                self._busy = nested

    def _fold(self) -> None:
        for _ in range(len(self._threads)):
            life, shard = self._threads.popleft()
            if life() is not None:
                self._threads.append((life, shard))
                continue
            for instrument, cells in shard.items():
                instrument.absorb(self._ended[instrument], cells)
        self._fold_at = max(FOLD_FROM, 2 * len(self._threads))
