"""Has the observers look: on one thread a process, in the processes whose turn it is."""

from __future__ import annotations

import contextlib
import queue
import threading
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import Context, attach

from otel_django import guard, own_thread
from otel_django import metric_definitions as metrics
from otel_django.fork_gate import ForkGate
from otel_django.observers.board import BoardAway
from otel_django.observers.turn import FRESH_INTERVALS, LOOK_S, Turn, read
from otel_django.tracing.current import SUPPRESS_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otel_django.clock import Clock
    from otel_django.metric_points import MetricDefinition
    from otel_django.metrics.recorder import Recorder
    from otel_django.observation import Observation, Observer
    from otel_django.observers.places import Places

END_S: Final = 0.5
"""How long the end of a process waits for a look that goes on."""
GATE: Final = ForkGate(max_wait_s=1.0)
"""A fork waits while a connection of ours is open."""
_DEFINITIONS: Final = {definition.name: definition for definition in metrics.ALL}


class Runner:
    """A sink that is polled and given nothing: so it looks now and then whether to have a thread.

    ``may_run`` says whether this process is of a kind that may observe at all. Where there is a
    ``recorder``, what this process sees is shown as metrics.
    """

    def __init__(
        self,
        observers: Sequence[Observer],
        places: Places,
        *,
        clock: Clock,
        recorder: Recorder | None = None,
        may_run: Callable[[], bool] = lambda: True,
    ) -> None:
        self.places = places
        self._may_run = may_run
        self._clock = clock
        self._failures = None if recorder is None else recorder.counter(metrics.OBSERVER_FAILURES)
        self._turns = tuple(
            Turn(each, places, owner=self._name, clock=clock, failed=self._failed)
            for each in observers
        )
        self._begin()
        if recorder is not None:
            for definition in metrics.OBSERVED:
                recorder.observe(definition, self._teller(definition))

    def _begin(self) -> None:
        self._owner = uuid.uuid4().hex
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._hurried: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._look_s = 0.0

    def _name(self) -> str:
        return self._owner

    def _failed(self, observer: str, kind: str) -> None:
        if self._failures is not None:
            self._failures.add(1, (observer, kind))

    # --- what was seen

    def _teller(self, definition: MetricDefinition) -> Callable[[], Iterator[tuple[float, Any]]]:
        def tell() -> Iterator[tuple[float, Any]]:
            for turn in self._turns:
                for one in turn.shown():
                    if one.name == definition.name:
                        values = tuple(one.attributes.get(key) for key in definition.attributes)
                        yield one.value, values

        return tell

    def latest(self, name: str) -> tuple[Observation, ...] | None:
        """What the process whose turn it was saw last; None: nothing that is fresh enough.

        In any process of the host, and without a query.
        """
        for turn in self._turns:
            if turn.observer.name == name and self.places.host is not None:
                try:
                    last = self.places.host.get(name)
                except BoardAway:
                    return None
                if last is not None and last.age_s < FRESH_INTERVALS * turn.observer.interval_s:
                    return read(last.text)
        return None

    def hurry(self) -> None:
        """Have the thread look at once whether it is to go on; in a signal's handler, too."""
        self._hurried.put(None)

    # --- as a sink

    def poll(self, now_s: float) -> float | None:
        """Start the thread once an observer's turn may be this process's."""
        if self._thread is not None or not self._may_run():
            return None
        if now_s < self._look_s:
            return self._look_s - now_s
        self._look_s = now_s + LOOK_S
        if any(turn.wanted() for turn in self._turns):
            try:
                self._thread = own_thread.start(self._run, "otel_django-observers")
            except RuntimeError:
                return None  # the interpreter is shutting down
        return LOOK_S

    def accept(self, batch: Sequence[Any]) -> None:
        """Nothing comes this way."""

    def spill(self, batch: Sequence[Any]) -> None:
        """Nothing comes this way."""

    def hold(self) -> None:
        """Nothing is held."""

    def flush(self, deadline_s: float) -> bool:
        """Nothing is held."""
        return True

    def close(self, deadline_s: float) -> None:
        """Leave it to others, at once if no look goes on."""
        self._stop.set()
        self.hurry()
        if self._thread is not None and self._thread is not threading.current_thread():
            left_s = deadline_s - self._clock.monotonic_s()
            self._thread.join(max(0.0, min(left_s, END_S)))

    def after_fork(self) -> None:
        """In a forked child: no thread, no lock, no turn."""
        self._begin()
        self.places.after_fork()
        for turn in self._turns:
            turn.after_fork()

    # --- on its own thread

    def _run(self) -> None:
        attach(Context({SUPPRESS_KEY: True}))
        stop, hurried = self._stop, self._hurried
        try:
            while not stop.is_set():
                wait_s = min(LOOK_S, *(self._step(turn) for turn in self._turns))
                with contextlib.suppress(queue.Empty):
                    hurried.get(timeout=max(0.0, wait_s))
            with GATE.using():
                for turn in self._turns:
                    turn.end()
        except Exception:
            guard.caught("observers.run")
        finally:
            if stop is self._stop:
                self._thread = None

    def _step(self, turn: Turn) -> float:
        with GATE.using(), guard.guarded(f"observers.{turn.observer.name}"):
            return turn.step()
        return LOOK_S
