"""The one exporter thread of a process: takes from the lanes' queues, gives to the sinks.

The thread starts with the first item and again after a fork. It gives up the interpreter lock
often (``pause``), so that a full batch doesn't hold up requests.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context, attach

from otel_django import guard, own_thread

if TYPE_CHECKING:
    from otel_django.clock import Clock
    from otel_django.contracts import Sink
    from otel_django.pipeline.drops import Drops
    from otel_django.pipeline.lanes import Lane

IDLE_S: Final = 30.0
LINGER_S: Final = 10.0
"""After work, the thread looks at its lanes by the clock instead of being woken by what comes.

A thread that is woken wants the interpreter lock. While another runs Python without waiting for
anything it doesn't get it, but is told of every moment in which the lock was free: some 10 µs each
time, on both threads.
"""
SHORTEST_LOOK_S: Final = 0.1
LONGEST_LOOK_S: Final = 1.0
"""It lingers only where it needn't look more often, and looks as often as this."""
SINKS_SHARE: Final = 0.8
"""Of the time there is at the end: what is left is for saying what was lost."""


class Worker:
    """Owns the thread.

    Args:
        lanes: one a signal that is queued.
        polled: sinks that no lane feeds; they come to ask for what they send. In this order they
            are polled and closed, so that one may feed those after it.
    """

    def __init__(
        self, lanes: Sequence[Lane], polled: Sequence[Sink] = (), *, drops: Drops, clock: Clock
    ) -> None:
        self.lanes = tuple(lanes)
        self._polled: tuple[Sink, ...] = ()
        self._drops = drops
        self._clock = clock
        self._make_locks()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._deadline_s = 0.0
        self._passed_on = 0
        for lane in self.lanes:
            lane.on_wake = self._wake_for
            for sink in lane.sinks:
                if hasattr(sink, "on_wait"):
                    sink.on_wait = lambda lane=lane: self._while_waiting(lane)
        for sink in polled:
            self.add_polled(sink)

    def add_polled(self, sink: Sink) -> None:
        """One more; before the first fork or item."""
        self._polled = (*self._polled, sink)
        if hasattr(sink, "on_wait"):
            sink.on_wait = lambda: self._while_waiting(None)

    @property
    def sinks(self) -> tuple[Sink, ...]:
        """All of them, in the order in which they are polled, flushed and closed."""
        return (*(sink for lane in self.lanes for sink in lane.sinks), *self._polled)

    def _make_locks(self) -> None:
        self._wake = threading.Event()
        self._start_lock = threading.Lock()
        self._done = threading.Event()
        self._flushed = threading.Condition()
        self._flush_wanted = 0
        self._flush_finished = 0
        self._flush_deadline_s = 0.0
        self._flush_complete = True
        self._lingering = False
        self._noticed = False
        self._linger_until_s = 0.0

    # --- on any thread

    def pause(self) -> None:
        """Give up the interpreter lock, unless a queue fills faster than it is emptied."""
        for lane in self.lanes:
            if len(lane.queue) >= lane.queue.capacity // 2:
                return
        time.sleep(0)

    def wake(self) -> None:
        """Have the polled sinks asked soon; starts the thread if need be."""
        if self._done.is_set():
            return
        if self._thread is None:
            self.start()
        if not self._wake.is_set():  # each item beyond a batch comes here: to set it takes a lock
            self._wake.set()

    def notice(self) -> None:
        """A polled sink has something to do within a second: as ``wake``, unless it lingers."""
        self._noticed = True
        if not self._lingering:
            self.wake()

    def _wake_for(self, lane: Lane) -> None:
        if self._done.is_set():
            lane.lose_late()
        else:
            self.wake()

    def start(self) -> None:
        """Start the thread now; else the first item does."""
        if self._thread is not None:
            return
        with self._start_lock:
            if self._thread is not None or self._stopping:
                return
            try:
                self._thread = own_thread.start(self._run, "otel_django")
            except RuntimeError:
                return  # the interpreter is shutting down: ``shutdown`` drains on its own thread

    def _waiting(self) -> int:
        return sum(len(lane.queue) for lane in self.lanes)

    def flush(self, timeout_s: float) -> bool:
        """Have everything handed on that was put before the call; False when time ran out."""
        nothing_to_do = self._thread is None and not self._waiting() and not self._polled
        if self._done.is_set() or nothing_to_do:
            return not self._waiting()
        deadline_s = self._clock.monotonic_s() + timeout_s
        with self._flushed:
            self._flush_wanted += 1
            ticket = self._flush_wanted
            self._flush_deadline_s = deadline_s
            self.wake()
            done = self._flushed.wait_for(lambda: self._flush_finished >= ticket, timeout_s)
            return done and self._flush_complete

    def keep_all(self) -> None:
        """This process may be killed at any moment: put everything on disk, without any network.

        Sending goes on behind that, for as long as the process lives.
        """
        for lane in self.lanes:
            lane.keep_all()
        for sink in self._polled:
            try:
                sink.hold()
            except Exception:
                guard.caught(f"{type(sink).__name__}.hold")
        if self._thread is not None:
            self.hurry()

    def hurry(self) -> None:
        """The process is about to end: from now on nothing waits for company."""
        for lane in self.lanes:
            lane.hurry()
        self._wake.set()

    def shutdown(self, timeout_s: float) -> bool:
        """Send or keep on disk what waits, then stop; never longer than ``timeout_s`` (roughly)."""
        if self._stopping:
            return self._done.wait(timeout_s)
        self._deadline_s = self._clock.monotonic_s() + SINKS_SHARE * timeout_s
        self._stopping = True
        thread = self._thread
        if thread is None or not thread.is_alive():
            if self._waiting() or self._polled or thread is not None:
                self._finish()
            self._done.set()
            return True
        self._wake.set()
        if self._done.wait(timeout_s):
            return True
        for lane in self.lanes:
            lane.lose_rest()
        self._drops.report(float("inf"))
        return False

    def after_fork(self) -> None:
        """In the child: empty queues, no thread, sinks without the parent's connections."""
        self._make_locks()
        self._thread = None
        self._stopping = False
        for lane in self.lanes:
            lane.after_fork()
        for sink in self._polled:
            try:
                sink.after_fork()
            except Exception:
                guard.caught(f"{type(sink).__name__}.after_fork")

    # --- on the worker thread

    def _run(self) -> None:
        # Nobody's request: contrib's threading instrumentor hands on the one that started us, and
        # what exporters and SQLite do here must not be traced by others' instrumentors.
        attach(Context({_SUPPRESS_INSTRUMENTATION_KEY: True}))
        try:
            while not self._stopping:
                self._wake.clear()
                self._pass_on_due()
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
                self._lingering = False
                for lane in self.lanes:
                    lane.queue.idle = True
                if self._stopping:
                    self._done.set()

    def _sleep(self, next_s: float) -> None:
        """Until a lane is due or a sink wants to be polled, or somebody wakes us."""
        now_s = self._clock.monotonic_s()
        lingering = self._lingers(now_s)
        wait_s = min([next_s, *(lane.wait_s(now_s, lingering=lingering) for lane in self.lanes)])
        if lingering:
            wait_s = min(wait_s, LONGEST_LOOK_S)
        if wait_s > 0 and self._flush_wanted == self._flush_finished and not self._stopping:
            self._wake.wait(wait_s)

    def _lingers(self, now_s: float) -> bool:
        """Whether there was work lately, and looking is cheap enough."""
        passed_on = sum(lane.passed_on for lane in self.lanes)
        if self._noticed or passed_on != self._passed_on:
            self._linger_until_s = now_s + LINGER_S
        self._passed_on = passed_on
        self._noticed = False
        self._lingering = now_s < self._linger_until_s and all(
            lane.delay_s >= SHORTEST_LOOK_S for lane in self.lanes
        )
        if self._noticed:  # on another thread, which believed that we linger
            self._lingering = True
        return self._lingering

    def _pass_on_due(self) -> None:
        now_s = self._clock.monotonic_s()
        for lane in self.lanes:
            if lane.is_due(now_s):
                lane.pass_on()

    def _pass_on(self) -> None:
        for lane in self.lanes:
            lane.pass_on()

    def _while_waiting(self, waiting: Lane | None) -> bool:
        """A sink of this lane waits on the network: nothing stays in memory meanwhile.

        True when the thread is to end: a sink that waits gives up then.
        """
        for lane in self.lanes:
            if lane is waiting:
                lane.pass_on()
            else:
                lane.put_aside()
        return self._stopping

    def _poll(self) -> float:
        now_s = self._clock.monotonic_s()
        self._drops.report(now_s)
        wait_s = IDLE_S
        for sink in self.sinks:
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
        for sink in self.sinks:
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
        for sink in self.sinks:
            try:
                sink.close(self._deadline_s)
            except Exception:
                guard.caught(f"{type(sink).__name__}.close")
        self._drops.report(float("inf"))
        with self._flushed:
            self._flush_finished = self._flush_wanted
            self._flushed.notify_all()
