"""The bounded queue between the threads that record and the worker thread.

Putting is an append: no lock, no I/O. ``deque`` promises that appends and pops of several threads
don't disturb each other.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

ITEM_BYTES: Final = 2048
"""Memory that a span or log record takes on average, its attributes' usual texts included."""


class Sized(Protocol):
    """An item; ``_large_bytes`` is what it holds in long texts beyond the average."""

    @property
    def _large_bytes(self) -> int: ...


class ItemQueue:
    """At most ``max_bytes`` of items (and ``max_items``, if given).

    ``wake`` is called when the worker should look: at the first item after it went idle, and when
    ``wake_at`` items wait. ``overflow`` is called, on the putting thread, when the queue is full:
    it makes room, at once or (its argument) by waiting for its turn. Where it can't and twice the
    capacity waits, the item is counted as dropped by ``on_drop``.
    """

    def __init__(
        self,
        *,
        max_bytes: int,
        max_items: int | None,
        wake_at: int,
        wake: Callable[[], None],
        overflow: Callable[[bool], bool],
        on_drop: Callable[[int], None],
        on_fork: Callable[[], None],
    ) -> None:
        capacity = max(1, max_bytes // ITEM_BYTES)
        self.capacity = capacity if max_items is None else max(1, min(capacity, max_items))
        self.idle = True
        self._max_large = max_bytes // 2
        self._large = 0
        self._large_lock = threading.Lock()
        self._wake_at = min(wake_at, self.capacity)
        self._wake = wake
        self._overflow = overflow
        self._on_drop = on_drop
        self._on_fork = on_fork
        self._pid = os.getpid()
        self._items: deque[Sized] = deque()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Sized, _getpid: Callable[[], int] = os.getpid) -> None:
        """Add an item. Never blocks on the network or the worker."""
        if self._pid != _getpid():
            self._on_fork()
        self.put_here(item)

    def put_here(self, item: Sized) -> None:
        """As ``put``, for who has seen to it that this is the process the queue knows of.

        To ask the system each time takes longer than all the rest.
        """
        items = self._items
        waiting = len(items)
        if waiting >= self._wake_at and not self._admit(waiting):
            return
        if item._large_bytes and not self._admit_large(item._large_bytes):
            return
        items.append(item)
        if self.idle:
            self.idle = False
            self._wake()

    def _admit(self, waiting: int) -> bool:
        """Wake the worker; make room when full."""
        if waiting < self.capacity:
            self._wake()
            return True
        if self._overflow(False) or len(self._items) < 2 * self.capacity:
            return True
        if self._overflow(True):
            return True
        self._on_drop(1)
        return False

    def _admit_large(self, size: int) -> bool:
        if self._large + size > self._max_large:
            self._overflow(True)
        with self._large_lock:
            if self._large + size > self._max_large and self._items:
                full = True
            else:
                full = False
                self._large += size
        if full:
            self._on_drop(1)
        return not full

    def crowded(self) -> bool:
        """Whether there is hardly room for more, by count or by bytes."""
        return len(self._items) >= self.capacity or 2 * self._large >= self._max_large

    def drain(self, limit: int) -> list[Sized]:
        """Take up to ``limit`` items, oldest first. Several threads may drain."""
        items = self._items
        count = min(len(items), limit)
        batch: list[Sized] = []
        try:
            for _ in range(count):
                batch.append(items.popleft())  # noqa: PERF401 - keeps what was popped
        except IndexError:
            pass  # another thread was quicker
        large = sum([item._large_bytes for item in batch])
        if large:
            with self._large_lock:
                self._large -= large
        return batch

    def reset(self) -> None:
        """In a forked child: empty, with locks of its own."""
        self._large_lock = threading.Lock()
        self._large = 0
        self._items = deque()
        self.idle = True
        self._pid = os.getpid()
