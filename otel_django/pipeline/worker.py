"""The one exporter thread of a process: takes from the queue, gives to the sinks.

The thread starts with the first span and again after a fork. It gives up the interpreter lock
often (``pause``), so that a full batch doesn't hold up requests.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context, attach

from otel_django import guard
from otel_django.pipeline.queue import SpanQueue

if TYPE_CHECKING:
    from otel_django.clock import Clock
    from otel_django.contracts import Sink
    from otel_django.pipeline.drops import Drops
    from otel_django.tracing.span import Span

IDLE_S = 30.0
CLOSING_DELAY_S = 0.01
SINKS_SHARE = 0.8
"""Of the time there is at the end: what is left is for saying what was lost."""
LOCK_TIMEOUT_S = 2.0


class Worker:
    """Owns the queue and the thread.

    Args:
        sinks: where batches go, in this order.
        delay_s: how long a span waits for company, at most.
        batch_size: spans a batch.
        max_bytes, max_items: bounds of the queue.
    """

    def __init__(
        self,
        sinks: Sequence[Sink],
        *,
        delay_s: float,
        batch_size: int,
        max_bytes: int,
        max_items: int | None,
        drops: Drops,
        clock: Clock,
        on_fork: Callable[[], None],
    ) -> None:
        self._sinks = tuple(sinks)
        self._delay_s = delay_s
        self._batch_size = batch_size
        self._drops = drops
        self._clock = clock
        self._make_locks()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._deadline_s = 0.0
        self.queue = SpanQueue(
            max_bytes=max_bytes,
            max_items=max_items,
            wake_at=batch_size,
            wake=self._wake_up,
            overflow=self._relieve,
            on_drop=lambda count: drops.add("traces", "queue_full", count),
            on_fork=on_fork,
        )
        self.put: Callable[[Span], None] = self.queue.put
        """Add an ended span."""

    def _make_locks(self) -> None:
        self._wake = threading.Event()
        self._start_lock = threading.Lock()
        self._relief = threading.Lock()
        self._done = threading.Event()
        self._flushed = threading.Condition()
        self._flush_wanted = 0
        self._flush_finished = 0
        self._flush_deadline_s = 0.0
        self._flush_complete = True
        self._said_late = False

    # --- on any thread

    def pause(self) -> None:
        """Give up the interpreter lock, unless the queue fills faster than it is emptied."""
        if len(self.queue) < self.queue.capacity // 2:
            time.sleep(0)

    def _wake_up(self) -> None:
        if self._done.is_set():
            self._lose_late()
            return
        if self._thread is None:
            self.start()
        self._wake.set()

    def _lose_late(self) -> None:
        """What ends after the shutdown goes nowhere: count it, and say so once."""
        late = len(self.queue.drain(self.queue.capacity))
        self.queue.idle = True
        self._drops.add("traces", "shutdown", late)
        if late and not self._said_late:
            self._said_late = True
            self._drops.report(float("inf"))

    def start(self) -> None:
        """Start the thread now; else the first span does."""
        with self._start_lock:
            if self._thread is not None or self._stopping:
                return
            thread = threading.Thread(target=self._run, name="otel_django", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return  # the interpreter is shutting down: ``shutdown`` drains on its own thread
            self._thread = thread

    def _relieve(self, wait: bool) -> bool:
        """The queue is full: this thread encodes a batch into the spool, without any network.

        With ``wait`` it stands in line for that, for a moment: threads that record faster than
        the disk takes are slowed down to it.
        """
        if not self._relief.acquire(wait, LOCK_TIMEOUT_S if wait else -1):
            return False
        try:
            self._wake_up()
            if not self.queue.crowded():
                return True  # another thread, or the worker, has made room
            batch = cast("list[Span]", self.queue.drain(self._batch_size))
            for sink in self._sinks:
                sink.spill(batch)
            return True
        except Exception:
            guard.caught("worker.relieve")
            return False
        finally:
            self._relief.release()

    def flush(self, timeout_s: float) -> bool:
        """Have everything handed on that ended before the call; False when time ran out."""
        if self._done.is_set() or (self._thread is None and not len(self.queue)):
            return not len(self.queue)
        deadline_s = self._clock.monotonic_s() + timeout_s
        with self._flushed:
            self._flush_wanted += 1
            ticket = self._flush_wanted
            self._flush_deadline_s = deadline_s
            self._wake_up()
            done = self._flushed.wait_for(lambda: self._flush_finished >= ticket, timeout_s)
            return done and self._flush_complete

    def keep_all(self) -> None:
        """This process may be killed at any moment: put everything on disk, without any network.

        Sending goes on behind that, for as long as the process lives.
        """
        try:
            for sink in self._sinks:
                sink.hold()
            while batch := cast("list[Span]", self.queue.drain(self._batch_size)):
                for sink in self._sinks:
                    sink.spill(batch)
        except Exception:
            guard.caught("worker.keep_all")
        if self._thread is not None:
            self.hurry()

    def hurry(self) -> None:
        """The process is about to end: from now on nothing waits for company."""
        self._delay_s = CLOSING_DELAY_S
        self._wake.set()

    def shutdown(self, timeout_s: float) -> bool:
        """Send or keep on disk what waits, then stop; never longer than ``timeout_s`` (roughly)."""
        if self._stopping:
            return self._done.wait(timeout_s)
        self._deadline_s = self._clock.monotonic_s() + SINKS_SHARE * timeout_s
        self._stopping = True
        thread = self._thread
        if thread is None or not thread.is_alive():
            if len(self.queue) or thread is not None:
                self._finish()
            self._done.set()
            return True
        self._wake.set()
        if self._done.wait(timeout_s):
            return True
        self._drops.add("traces", "shutdown", len(self.queue))
        self._drops.report(float("inf"))
        return False

    def after_fork(self) -> None:
        """In the child: empty queue, no thread, sinks without the parent's connections."""
        self._make_locks()
        self._thread = None
        self._stopping = False
        self.queue.reset()
        for sink in self._sinks:
            try:
                sink.after_fork()
            except Exception:
                guard.caught("worker.after_fork")

    # --- on the worker thread

    def _run(self) -> None:
        # Nobody's request: contrib's threading instrumentor hands on the one that started us, and
        # what exporters and SQLite do here must not be traced by others' instrumentors.
        attach(Context({_SUPPRESS_INSTRUMENTATION_KEY: True}))
        try:
            while not self._stopping:
                self._pass_on()
                next_s = self._poll()
                self._answer_flush()
                self._sleep(next_s)
        except Exception:
            guard.caught("worker.run")
        finally:
            try:
                if self._stopping:
                    self._finish()
            finally:
                self._thread = None
                self.queue.idle = True
                if self._stopping:
                    self._done.set()

    def _sleep(self, next_s: float) -> None:
        queue = self.queue
        if self._flush_wanted != self._flush_finished or self._stopping:
            return
        if not len(queue):
            self._wake.clear()
            queue.idle = True
            if len(queue):  # came in between
                queue.idle = False
            else:
                self._wake.wait(next_s)
                queue.idle = False
                if not len(queue) or self._stopping:
                    return
        # company for the first item, unless a batch is full already
        if len(queue) < self._batch_size and self._flush_wanted == self._flush_finished:
            self._wake.clear()
            self._wake.wait(min(self._delay_s, next_s))

    def _pass_on(self) -> None:
        """Everything that waits now, batch by batch."""
        waiting = len(self.queue)
        while waiting > 0:
            batch = cast("list[Span]", self.queue.drain(self._batch_size))
            if not batch:
                return
            waiting -= len(batch)
            for sink in self._sinks:
                try:
                    sink.accept(batch)
                except Exception:
                    guard.caught(f"{type(sink).__name__}.accept")

    def drain_into_sinks(self) -> bool:
        """For a sink that waits on the network: nothing stays in memory meanwhile.

        True when the thread is to end: a sink that waits gives up then.
        """
        self._pass_on()
        return self._stopping

    def _poll(self) -> float:
        now_s = self._clock.monotonic_s()
        self._drops.report(now_s)
        wait_s = IDLE_S
        for sink in self._sinks:
            try:
                wish = sink.poll(now_s)
            except Exception:
                guard.caught(f"{type(sink).__name__}.poll")
                wish = 1.0
            if wish is not None:
                wait_s = min(wait_s, max(wish, 0.0))
        return wait_s

    def _answer_flush(self) -> None:
        wanted = self._flush_wanted
        if wanted == self._flush_finished:
            return
        self._pass_on()
        complete = True
        for sink in self._sinks:
            try:
                complete = sink.flush(self._flush_deadline_s) and complete
            except Exception:
                guard.caught(f"{type(sink).__name__}.flush")
                complete = False
        with self._flushed:
            self._flush_finished = wanted
            self._flush_complete = complete
            self._flushed.notify_all()

    def _finish(self) -> None:
        """The last pass of a process."""
        self._pass_on()
        for sink in self._sinks:
            try:
                sink.close(self._deadline_s)
            except Exception:
                guard.caught(f"{type(sink).__name__}.close")
        self._drops.report(float("inf"))
        with self._flushed:
            self._flush_finished = self._flush_wanted
            self._flushed.notify_all()
