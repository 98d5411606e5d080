"""The runs of beat's schedule that did not come: beat was down, or busy elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from time import time
from typing import TYPE_CHECKING, Any, Final

from otel_django import guard
from otel_django import metric_definitions as metrics
from otel_django.instrumentation.on_import import when_imported
from otel_django.instrumentation.patching import Patches

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.metrics.instruments import Counter
    from otel_django.metrics.recorder import Recorder
    from otel_django.tracing.tracer import Tracer

MOST: Final = 1000
"""Missed runs that are counted at once."""


class CeleryBeat:
    """An instrumentation: beat, about to send what is due, compares that with the last time."""

    def __init__(self) -> None:
        self._patches = Patches()
        self._undo: Callable[[], object] | None = None
        self._missed: Counter | None = None
        self.sending: tuple[Any, float] | None = None
        """The entry whose run is being sent, and since when, in Unix time."""

    def measure_with(self, recorder: Recorder) -> None:
        """Count with it from the next ``install`` on."""
        self._missed = recorder.counter(metrics.CELERY_BEAT_MISSED_RUNS)

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Patch beat once it is imported; a second call changes nothing."""
        if self._undo is None and self._missed is not None:
            self._undo = when_imported("celery.beat", self._patch)

    def uninstall(self) -> None:
        """Put it back."""
        if self._undo is not None:
            self._undo()
            self._undo = None
        self._patches.undo()

    def _patch(self) -> None:
        from celery.beat import Scheduler

        self._patches.wrap(Scheduler, "apply_entry", self._applying)

    def _applying(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def apply_entry(scheduler: Any, entry: Any, *args: Any, **kwargs: Any) -> Any:
            with guard.guarded("celery.beat"):
                missed = missed_runs(entry)
                if missed and self._missed is not None:
                    self._missed.add(missed, (entry.name,))
            self.sending = entry, time()
            try:
                return original(scheduler, entry, *args, **kwargs)
            finally:
                self.sending = None

        return apply_entry


def missed_runs(entry: Any) -> int:
    """How many runs were due between an entry's last one and the one that is due now.

    0 for an entry that never ran, and for schedules that can't be asked, such as solar ones.
    """
    last, plan = entry.last_run_at, entry.schedule
    if last is None or not entry.total_run_count:
        return 0
    return min(MOST, max(0, runs_between(plan, last, plan.now()) - 1))


def runs_between(plan: Any, last: datetime, now: datetime) -> int:
    """How many runs were due after ``last`` until ``now``: up to about MOST for a crontab.

    0 for schedules that can't be asked, such as solar ones.
    """
    from celery.schedules import crontab, schedule

    last, now = plan.maybe_make_aware(last), plan.maybe_make_aware(now)
    if isinstance(plan, crontab):
        return _crontab_runs(plan, last, now)
    every = getattr(plan, "run_every", None)
    if type(plan) is not schedule or not every or every <= timedelta(0):
        return 0
    return max(0, int((now - last) / every))


def _crontab_runs(plan: Any, last: datetime, now: datetime) -> int:
    runs = 0
    while runs <= MOST:
        began, step, _ = plan.remaining_delta(last)
        following = began + step
        if following > now or following <= last:
            break
        last = following
        runs += 1
    return runs
