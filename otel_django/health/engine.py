"""Looks: what the checks say now, without any of them being asked more often than it should.

What a check found counts for its TTL. After that one process of the host asks again; those who
look meanwhile wait for it, but for a moment only, and are then shown what it found last. A check
that isn't back within its time-out has failed. Its thread can't be ended: it is left alone, and
the check isn't asked again in this process until that is back.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final, Protocol

from otel_django import guard, own_thread
from otel_django.health import asking
from otel_django.health.registry import Registry
from otel_django.health.results import CheckReport, Group, Report, overall, worst
from otel_django.health.sharing import Busy, Claim, Kept, Sharing

if TYPE_CHECKING:
    from otel_django.clock import Clock
    from otel_django.conf import Settings
    from otel_django.health.check import Registered
    from otel_django.health.results import Result
    from otel_django.metrics.host_folder import HostFolder

PATIENCE_S: Final = 0.4
"""How long an answer waits for checks: it is to be there within half a second."""
KNOWN_PATIENCE_S: Final = 0.2
"""The same where there is an earlier result to show: who waits holds up those behind it, too."""
POLL_S: Final = 0.01
"""How often a process looks what another one has found."""
GRACE_S: Final = 1.0
"""Beyond its time-out, until a check is taken from a process that says nothing."""

Tell = Callable[["tuple[Result, ...]"], object]


class Teller(Protocol):
    """Is told of what is asked and found. Faults of its own stay its own."""

    def running(self, check: Registered) -> contextlib.AbstractContextManager[Tell]:
        """Around a run, on the thread it runs on; what it yields is called with what was found.

        A run that hangs ends when it is back, if ever; what was found is its own then.
        """
        ...

    def found(self, before: CheckReport | None, after: CheckReport) -> None:
        """After each run and each time-out; ``before`` is what the host knew until then."""
        ...


class _Run:
    """One run of a check; ``over`` once it is back or given up."""

    def __init__(self, check: Registered, claim: Claim, began_s: float) -> None:
        self.check = check
        self.claim = claim
        self.began_s = began_s
        self.over = False


class _State:
    """What this process knows of a check.

    ``run`` is its own, ``busy_since_s`` another process's. It looks there again at ``due_s``.
    """

    def __init__(self) -> None:
        self.kept: Kept | None = None
        self.run: _Run | None = None
        self.busy_since_s: float | None = None
        self.due_s = 0.0


class Engine:
    """All looks of a process; on any thread.

    ``folder`` is where the host's processes share what is found; None: this one is on its own.
    ``registry`` has the checks, which ``settings`` change.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        *,
        folder: HostFolder | None,
        clock: Clock,
        teller: Teller | None = None,
    ) -> None:
        self.registry = Registry(settings, (registry,))
        self.clock = clock
        self.teller = teller
        self._settings = settings
        self._sharing = Sharing(folder)
        self._states: dict[str, _State] = {}
        self._changed = threading.Condition()
        self._watched: list[_Run] = []
        self._watching = False

    # --- asked by everybody

    def look(
        self,
        group: Group = "all",
        names: Collection[str] | None = None,
        within_s: float | None = None,
    ) -> Look:
        """Have what is too old asked again; returns at once.

        ``within_s`` is how long to wait for it, None for as long as a probe may.

        Raises:
            UnknownCheckError: one of ``names`` isn't in that group.
        """
        checks = [check for check in self.registry.checks(group, names) if _possible(check)]
        return Look(self, group, checks, within_s)

    def report(
        self,
        group: Group = "all",
        names: Collection[str] | None = None,
        within_s: float | None = None,
    ) -> Report:
        """What the checks of a group say, for those who can wait; raises as ``look``."""
        look = self.look(group, names, within_s)
        while (wait_s := look.wait_s()) > 0:
            with self._changed:
                self._changed.wait(wait_s)
        return look.report()

    def last(self) -> tuple[CheckReport, ...]:
        """What this host knows of the checks, without asking any; not of those never asked."""
        reports = []
        for check in self.registry.checks("all"):
            with self._changed:
                state = self._state(check)
                self._learn(check, state)
                if state.kept is not None:
                    reports.append(self._report(check, state))
        return tuple(reports)

    def forget(self) -> None:
        """Ask again at the next look. Other processes may show what they know for a TTL more."""
        self._sharing.forget()
        for check in self.registry.checks("all"):
            if check.forget is not None:
                check.forget()
        with self._changed:
            for state in self._states.values():
                state.kept, state.due_s = None, 0.0

    def prepare(self) -> None:
        """Load what the checks need: drivers take longer than an answer may."""
        for check in self.registry.checks("all"):
            if check.prepare is not None and _possible(check):
                with contextlib.suppress(Exception):  # it will tell when it is asked
                    check.prepare()

    def after_fork(self) -> None:
        """In a forked child, which makes an engine of its own."""
        self._sharing.after_fork()

    # --- of one check; all under the lock

    def _state(self, check: Registered) -> _State:
        state = self._states.get(check.name)
        if state is None:
            state = self._states[check.name] = _State()
        return state

    def _timeout_s(self, check: Registered) -> float:
        return check.timeout_s or self._settings.health_timeout_s

    def _is_fresh(self, check: Registered, state: _State, asked_s: float) -> bool:
        """Whether it needn't be asked; what was found since ``asked_s`` is never too old."""
        if state.kept is None:
            return False
        ttl_s = self._settings.health_ttl_s if check.ttl_s is None else check.ttl_s
        age_s = self.clock.monotonic_s() - state.kept.seen_s
        return 0 <= age_s < ttl_s or state.kept.seen_s > asked_s

    def _learn(self, check: Registered, state: _State) -> None:
        """What another process has found meanwhile."""
        kept = self._sharing.read(check.name)
        if kept is not None and (state.kept is None or kept.seen_s > state.kept.seen_s):
            state.kept = kept
            state.busy_since_s = None

    def _step(self, check: Registered, within_s: float | None, asked_s: float) -> float:
        """Have it asked if need be; how much longer to wait for that, if it is above zero.

        ``asked_s`` is when the look began.
        """
        with self._changed:
            state = self._state(check)
            if self._is_fresh(check, state, asked_s):
                return 0.0
            now_s = self.clock.monotonic_s()
            if now_s >= state.due_s and (state.run is None or state.run.over):
                state.due_s = now_s + POLL_S
                self._turn(check, state, now_s, asked_s)
                if self._is_fresh(check, state, asked_s):
                    return 0.0
            if state.run is not None and state.run.over:
                return 0.0
            began_s = self._under_way_since_s(state)
            if within_s is None:
                within_s = PATIENCE_S if state.kept is None else KNOWN_PATIENCE_S
            return (state.due_s if began_s is None else began_s + within_s) - now_s

    def _turn(self, check: Registered, state: _State, now_s: float, asked_s: float) -> None:
        """Nobody asks in this process: see whether another one does, or has."""
        self._learn(check, state)
        state.busy_since_s = None
        if state.run is not None or self._is_fresh(check, state, asked_s):
            return
        patience_s = self._timeout_s(check) + GRACE_S
        claim = self._sharing.claim(check.name, now_s, patience_s)
        if isinstance(claim, Busy):
            state.busy_since_s = now_s if claim.began_s is None else claim.began_s
            return
        self._learn(check, state)  # it may have been found just before
        if self._is_fresh(check, state, asked_s):
            claim.release()
            return
        self._start(_Run(check, claim, now_s), state)

    def _under_way_since_s(self, state: _State) -> float | None:
        return state.busy_since_s if state.run is None else state.run.began_s

    def _report(self, check: Registered, state: _State) -> CheckReport:
        now_s = self.clock.monotonic_s()
        began_s = self._under_way_since_s(state)
        running_s = None if began_s is None else max(0.0, now_s - began_s)
        kept = state.kept
        if kept is None:
            return CheckReport(check.name, "pending", check.critical, running_s=running_s)
        return CheckReport(
            check.name,
            worst(kept.results),
            check.critical,
            kept.results,
            kept.duration_s,
            max(0.0, now_s - kept.seen_s),
            running_s,
        )

    def _reports(self, checks: Collection[Registered]) -> tuple[CheckReport, ...]:
        with self._changed:
            return tuple(self._report(check, self._state(check)) for check in checks)

    # --- runs

    def _start(self, run: _Run, state: _State) -> None:
        """Under the lock."""
        name = f"otel_django-health-{run.check.name}"
        try:
            if not self._watching:
                own_thread.start(self._watch, "otel_django-health")
                self._watching = True
            own_thread.start(lambda: self._ask(run), name)
        except RuntimeError:  # no thread can be started (any more)
            run.claim.release()
            return
        state.run = run
        self._watched.append(run)

    def _ask(self, run: _Run) -> None:
        """On a thread of its own."""
        with guard.guarded("health.ask"):
            self._end(run, self._found(run.check), is_back=True)

    def _found(self, check: Registered) -> tuple[Result, ...]:
        results = None
        timeout_s = self._timeout_s(check)
        if self.teller is not None:
            with guard.guarded("health.running"), self.teller.running(check) as tell:
                results = asking.ask(check, timeout_s)
                tell(results)
        return asking.ask(check, timeout_s) if results is None else results

    def _end(self, run: _Run, results: tuple[Result, ...], *, is_back: bool) -> None:
        """It is back, or given up; what it says after that doesn't count."""
        with self._changed:
            state = self._state(run.check)
            self._changed.notify_all()
            if is_back:
                state.run = None
            if run.over:
                return
            run.over = True
            self._watched.remove(run)
            if not run.claim.is_ours():  # this process was stopped: another one has gone on
                run.claim.release()
                return
            before = None if state.kept is None else self._report(run.check, state)
            now_s = self.clock.monotonic_s()
            state.kept = Kept(results, now_s - run.began_s, now_s)
            run.claim.leave(state.kept)
            run.claim.release()
            after = self._report(run.check, state)
        if self.teller is not None:
            with guard.guarded("health.found"):
                self.teller.found(before, after)

    def _watch(self) -> None:
        """Give up what takes too long, on a thread that ends when nothing is under way."""
        while True:
            with self._changed:
                overdue = self._overdue_or_wait()
                if overdue is None:
                    self._watching = False
                    return
            for run in overdue:
                with guard.guarded("health.watch"):
                    self._end(run, asking.timed_out(self._timeout_s(run.check)), is_back=False)

    def _overdue_or_wait(self) -> list[_Run] | None:
        """Under the lock; None when nothing is watched."""
        if not self._watched:
            return None
        now_s = self.clock.monotonic_s()
        left = [(run.began_s + self._timeout_s(run.check) - now_s, run) for run in self._watched]
        soonest_s = min(left_s for left_s, _ in left)
        if soonest_s > 0:
            self._changed.wait(soonest_s)
            return []
        return [run for left_s, run in left if left_s <= 0]


class Look:
    """One look at some checks."""

    def __init__(
        self, engine: Engine, group: Group, checks: Collection[Registered], within_s: float | None
    ) -> None:
        self.group = group
        self._engine = engine
        self._checks = checks
        self._within_s = within_s
        self._began_s = engine.clock.monotonic_s()
        self._waiting = [check for check in checks if self._step(check) > 0]

    def wait_s(self) -> float:
        """How long to sleep before asking this again; 0.0: ``report`` has all that will come."""
        within_s = PATIENCE_S if self._within_s is None else self._within_s
        left_s = self._began_s + within_s - self._engine.clock.monotonic_s()
        if left_s <= 0:
            return 0.0
        waits = [(self._step(check), check) for check in self._waiting]
        self._waiting = [check for wait_s, check in waits if wait_s > 0]
        longest_s = max((wait_s for wait_s, _ in waits), default=0.0)
        return min(left_s, longest_s, POLL_S)

    def _step(self, check: Registered) -> float:
        return self._engine._step(check, self._within_s, self._began_s)

    def report(self) -> Report:
        """As it is now."""
        checks = self._engine._reports(self._checks)
        clock = self._engine.clock
        return Report(
            self.group,
            overall(self.group, checks),
            checks,
            clock.now_ns(),
            clock.monotonic_s() - self._began_s,
        )


def _possible(check: Registered) -> bool:
    try:
        return check.is_possible()
    except Exception:
        guard.caught(f"health.{check.name}.is_possible")
        return False
