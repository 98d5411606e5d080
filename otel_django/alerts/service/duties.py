"""What is done again and again, each on a thread of its own, so that none waits for another.

A thread can't be ended from outside: one that hangs is left alone, and its duty goes on beside it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otel_django import guard, own_thread

if TYPE_CHECKING:
    from otel_django.clock import Clock

MOST_HANGING: Final = 3
"""Threads of one duty that are left alone, at most; then it waits for one to come back."""
LOOK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Duty:
    """``run`` is called every ``interval_s``, and counts as hanging after ``patience_s``."""

    name: str
    interval_s: float
    run: Callable[[], object]
    patience_s: float = 30.0


class _Run:
    def __init__(self, began_s: float) -> None:
        self.began_s = began_s
        self.ended = False


class _State:
    def __init__(self) -> None:
        self.due_s = float("-inf")
        self.run: _Run | None = None
        self.hanging: list[_Run] = []
        self.done_s: float | None = None


class Duties:
    """``around`` is called with each run, on the run's thread, and calls it."""

    def __init__(
        self,
        duties: Sequence[Duty],
        *,
        clock: Clock,
        around: Callable[[Callable[[], object]], object] = lambda run: run(),
        start: Callable[[Callable[[], None], str], object] = own_thread.start,
    ) -> None:
        self._duties = tuple(duties)
        self._clock = clock
        self._around = around
        self._start = start
        self._states = {duty.name: _State() for duty in self._duties}
        self._changed = threading.Condition()

    def step(self) -> float:
        """Begin what is due; how many seconds until the next step."""
        now_s = self._clock.monotonic_s()
        return min((self._step(duty, now_s) for duty in self._duties), default=LOOK_S)

    def _step(self, duty: Duty, now_s: float) -> float:
        state = self._states[duty.name]
        state.hanging = [run for run in state.hanging if not run.ended]
        run = state.run
        if run is not None and not run.ended:
            if now_s - run.began_s < duty.patience_s or len(state.hanging) >= MOST_HANGING:
                return LOOK_S
            state.hanging.append(run)
            state.run = None
        if now_s < state.due_s:
            return state.due_s - now_s
        state.due_s = now_s + duty.interval_s
        self._begin(duty, state, _Run(now_s))
        return min(duty.interval_s, LOOK_S)

    def _begin(self, duty: Duty, state: _State, run: _Run) -> None:
        def do() -> None:
            try:
                with guard.guarded(f"alerts.{duty.name}"):
                    self._around(duty.run)
                    state.done_s = self._clock.monotonic_s()
            finally:
                run.ended = True
                with self._changed:
                    self._changed.notify_all()

        state.run = run
        try:
            self._start(do, f"otel_django-{duty.name}")
        except RuntimeError:  # no thread can be started just now
            run.ended = True

    def hurry(self, name: str) -> None:
        """Have it begin with the next step."""
        if name in self._states:
            self._states[name].due_s = float("-inf")

    def done_s(self, name: str) -> float | None:
        """When a duty's last run that went well ended, by the monotonic clock."""
        return self._states[name].done_s

    def once(self, timeout_s: float) -> bool:
        """Every duty in its turn, one after the other; False if one wasn't done in time."""
        done = [self._once(duty, timeout_s) for duty in self._duties]
        return all(done)

    def _once(self, duty: Duty, timeout_s: float) -> bool:
        state = self._states[duty.name]
        self._begin(duty, state, _Run(self._clock.monotonic_s()))
        return self._is_over([state], timeout_s) and state.done_s is not None

    def wait(self, timeout_s: float) -> bool:
        """Until nothing is under way; False if something still is by then."""
        return self._is_over(list(self._states.values()), timeout_s)

    def _is_over(self, states: list[_State], timeout_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(
                lambda: all(state.run is None or state.run.ended for state in states), timeout_s
            )
