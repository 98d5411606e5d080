"""The lane of a signal: the queue that its items wait in and the sinks that they go to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from otel_django import guard
from otel_django.pipeline.queue import ItemQueue

if TYPE_CHECKING:
    from otel_django.contracts import Sink
    from otel_django.pipeline.drops import Drops

CLOSING_DELAY_S: Final = 0.01
LOCK_TIMEOUT_S: Final = 2.0
_NEVER_S: Final = float("inf")


class Lane:
    """One signal's; the worker thread serves all lanes of a process.

    Args:
        signal: what losses are counted under.
        sinks: where batches go, in this order.
        delay_s: how long an item waits for company, at most.
        batch_size: items a batch.
        max_bytes, max_items: bounds of the queue.
    """

    def __init__(
        self,
        signal: str,
        sinks: Sequence[Sink],
        *,
        delay_s: float,
        batch_size: int,
        max_bytes: int,
        max_items: int | None,
        drops: Drops,
        on_fork: Callable[[], None],
    ) -> None:
        self.signal = signal
        self.sinks = tuple(sinks)
        self.on_wake: Callable[[Lane], None] = _nothing
        """Set by the worker: it should look at this lane."""
        self.delay_s = delay_s
        self._batch_size = batch_size
        self._drops = drops
        self.queue = ItemQueue(
            max_bytes=max_bytes,
            max_items=max_items,
            wake_at=batch_size,
            wake=self._wake_up,
            overflow=self._relieve,
            on_drop=lambda count: drops.add(signal, "queue_full", count),
            on_fork=on_fork,
        )
        self.put: Callable[[Any], None] = self.queue.put
        """Add an item."""
        self.put_here: Callable[[Any], None] = self.queue.put_here
        """The same, where forks have been looked for already."""
        self._reset()

    def _reset(self) -> None:
        self.passed_on = 0
        """Items that have left the queue for the sinks."""
        self._counting = threading.RLock()  # a signal handler may keep all
        self._relief = threading.Lock()
        self._due_s = _NEVER_S
        self._said_late = False

    # --- on any thread

    def _wake_up(self) -> None:
        self.on_wake(self)

    def _relieve(self, wait: bool) -> bool:
        """The queue is full: this thread encodes a batch into the spool, without any network.

        With ``wait`` it stands in line for that, for a moment: threads that record faster than
        the disk takes are slowed down to it.
        """
        if not self._relief.acquire(wait, LOCK_TIMEOUT_S if wait else -1):
            return False
        try:
            self._wake_up()
            if self.queue.crowded():  # else another thread, or the worker, has made room
                self._spill(self._drain())
            return True
        except Exception:
            guard.caught("lane.relieve")
            return False
        finally:
            self._relief.release()

    def _drain(self) -> Sequence[Any]:
        batch = self.queue.drain(self._batch_size)
        with self._counting:
            self.passed_on += len(batch)
        return batch

    def _spill(self, batch: Sequence[Any]) -> None:
        for sink in self.sinks:
            sink.spill(batch)

    def keep_all(self) -> None:
        """Put everything on disk, without any network."""
        try:
            for sink in self.sinks:
                sink.hold()
            while batch := self._drain():
                self._spill(batch)
        except Exception:
            guard.caught("lane.keep_all")

    def hurry(self) -> None:
        """From now on nothing waits for company."""
        self.delay_s = CLOSING_DELAY_S

    def lose_late(self) -> None:
        """What comes after the shutdown goes nowhere: count it, and say so once."""
        late = len(self.queue.drain(self.queue.capacity))
        self.queue.idle = True
        self._drops.add(self.signal, "shutdown", late)
        if late and not self._said_late:
            self._said_late = True
            self._drops.report(float("inf"))

    def lose_rest(self) -> None:
        """Time is up and the worker thread is still at it: count what waits as lost."""
        self._drops.add(self.signal, "shutdown", len(self.queue))

    def after_fork(self) -> None:
        """In the child: an empty queue, sinks without the parent's connections."""
        self._reset()
        self.queue.reset()
        for sink in self.sinks:
            try:
                sink.after_fork()
            except Exception:
                guard.caught("lane.after_fork")

    # --- on the worker thread

    def is_due(self, now_s: float) -> bool:
        """Whether what waits has waited long enough, or is a batch."""
        return now_s >= self._due_s or len(self.queue) >= self._batch_size

    def wait_s(self, now_s: float, *, lingering: bool = False) -> float:
        """Seconds until it is due; infinite while nothing waits: then the next item wakes.

        ``lingering`` looks again after the usual delay instead, so that no item has to wake.
        """
        queue = self.queue
        if not len(queue) and not lingering:
            self._due_s = _NEVER_S
            queue.idle = True
            if not len(queue):
                return _NEVER_S
        queue.idle = False  # something waits, or came in between
        self._due_s = min(self._due_s, now_s + self.delay_s)
        return max(self._due_s - now_s, 0.0) if len(queue) < self._batch_size else 0.0

    def pass_on(self) -> None:
        """Give the sinks everything that waits now, batch by batch."""
        self._due_s = _NEVER_S
        waiting = len(self.queue)
        while waiting > 0:
            batch = self._drain()
            if not batch:
                return
            waiting -= len(batch)
            for sink in self.sinks:
                try:
                    sink.accept(batch)
                except Exception:
                    guard.caught(f"{type(sink).__name__}.accept")

    def put_aside(self) -> None:
        """The same while another lane's sink waits for the network: no request begins now."""
        for sink in self.sinks if len(self.queue) else ():
            try:
                sink.hold()
            except Exception:
                guard.caught(f"{type(sink).__name__}.hold")
        self.pass_on()


def _nothing(lane: Lane) -> None:
    return
