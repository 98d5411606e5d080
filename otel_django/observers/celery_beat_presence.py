"""What beat tells of itself: that it is there, which runs are overdue.

A thread beside beat's loop reads when each entry is due next, so that it is known when the loop is
stuck, too. Of schedulers with a loop of their own, such as redbeat's, only that they are there.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from functools import partial
from time import time
from typing import TYPE_CHECKING, Any, Final, Literal

from otel_django import guard, names
from otel_django.instrumentation.on_import import when_imported
from otel_django.observation import Observation
from otel_django.observers.celery_beat import runs_between
from otel_django.observers.celery_presence import LONGEST_NAME, LONGEST_S

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.tracing.tracer import Tracer

PREFIX: Final = "celery.beat/"
MISSED: Final = "missed"
"""Runs of an entry that were due and have not come; read by other processes, not a metric."""
LATE_S: Final = 15.0
"""After how long a run that was due is missed."""
_UID: Final = "otel_django-beat-presence"


class BeatPresence:
    """An instrumentation, which finds beat's scheduler, and the observer that tells of it.

    ``heard`` is called when beat starts; ``sending`` gives the entry that is being sent, and since
    when, which isn't among those that wait.
    """

    scope: Literal["process"] = "process"
    name = PREFIX + socket.gethostname()[:LONGEST_NAME]

    def __init__(
        self,
        interval_s: float,
        timeout_s: float,
        *,
        heard: Callable[[], object],
        sending: Callable[[], tuple[Any, float] | None],
    ) -> None:
        self.interval_s = min(interval_s, LONGEST_S)
        self.timeout_s = timeout_s
        self._heard = heard
        self._sending = sending
        self._undo: list[Callable[[], object]] = []
        self._scheduler: Any = None

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Listen once Celery is imported; a second call changes nothing."""
        if not self._undo:
            self._undo.append(when_imported("celery.signals", self._listen))

    def uninstall(self) -> None:
        """Hear nothing more."""
        while self._undo:
            self._undo.pop()()

    def _listen(self) -> None:
        from celery.signals import beat_init

        beat_init.connect(self._began, weak=False, dispatch_uid=_UID)
        self._undo.append(partial(beat_init.disconnect, dispatch_uid=_UID))

    def _began(self, sender: Any = None, **_: Any) -> None:
        with guard.guarded("celery.beat.presence"):
            self._scheduler = sender.scheduler
            self._heard()

    def is_possible(self) -> bool:
        """This process is beat, or a worker with beat inside."""
        return self._scheduler is not None

    def observe(self) -> Iterator[Observation]:
        """How many runs of each entry are overdue."""
        sending = self._sending()
        due = [] if sending is None else [sending]
        waiting = list(getattr(self._scheduler, "_heap", None) or ())
        due += [(event.entry, event.time) for event in waiting]
        for entry, due_s in due:
            missed = overdue_runs(entry.schedule, due_s)
            if missed:
                yield Observation(MISSED, missed, {names.CELERY_BEAT_ENTRY: str(entry.name)})


def overdue_runs(plan: Any, due_s: float) -> int:
    """How many runs are late, if the first of them was due at ``due_s``, in Unix time."""
    now_s = time() - LATE_S
    if due_s > now_s:
        return 0
    since, now = (datetime.fromtimestamp(each, timezone.utc) for each in (due_s, now_s))
    return 1 + runs_between(plan, since, now)
