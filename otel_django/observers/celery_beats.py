"""Whether a beat runs anywhere in the deployment, and what came of its schedule.

While none runs, the runs that the app's ``beat_schedule`` had due since are missed. A schedule that
is kept elsewhere, such as in a database, isn't known here: then only a beat that was there and
died is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from time import time
from typing import TYPE_CHECKING, Any, Final, Literal

from otel_django import names
from otel_django.observation import Observation
from otel_django.observers import celery_app
from otel_django.observers.celery_beat import runs_between
from otel_django.observers.celery_beat_presence import LATE_S, MISSED, PREFIX
from otel_django.observers.celery_presence import LONGEST_S
from otel_django.observers.celery_workers import FORGOTTEN_S
from otel_django.observers.celery_workers import MISSED as MISSED_NOTES
from otel_django.observers.turn import FRESH_INTERVALS, read

if TYPE_CHECKING:
    from otel_django.observers.board import Board, Result

NAME: Final = "celery.beat"
ALIVE: Final = "alive"
DEAD: Final = "dead"
"""Seconds since a beat was heard of, by the host it runs on."""
HOST: Final = "host"
ABSENT: Final = "absent"
"""Since when no beat has been there, in Unix time."""


class CeleryBeats:
    """``board`` gives where beats leave what they tell; None: nowhere."""

    name = NAME
    scope: Literal["deployment"] = "deployment"

    def __init__(
        self,
        interval_s: float,
        timeout_s: float,
        board: Callable[[], Board | None],
        app: Callable[[], Any] = celery_app.current,
    ) -> None:
        self.interval_s = interval_s
        self.timeout_s = timeout_s
        self._board = board
        self._app = app
        self._dead_s = MISSED_NOTES * min(interval_s, LONGEST_S)

    def is_possible(self) -> bool:
        """This process has the site's Celery app."""
        return self._app() is not None

    def observe(self) -> Iterator[Observation]:
        """Each beat, and the runs that have been missed until now."""
        board = self._board()
        if board is None:
            return
        known = board.posted(PREFIX)
        alive = {host: one for host, one in known.items() if one.age_s <= self._dead_s}
        for host, one in known.items():
            if host not in alive and (alive or one.age_s > FORGOTTEN_S):
                board.remove(PREFIX + host)  # replaced, or long gone
            else:
                yield Observation(ALIVE if host in alive else DEAD, one.age_s, {HOST: host})
        if alive:
            yield from _missed_by(alive)
        else:
            yield from self._absent(board, known)

    def _absent(self, board: Board, known: Mapping[str, Result]) -> Iterator[Observation]:
        now_s = time()
        since_s = self._since_s(board, now_s)
        since_s = min([since_s, *(now_s - one.age_s for one in known.values())])
        yield Observation(ABSENT, since_s)
        for entry, plan in _schedule(self._app()):
            since = datetime.fromtimestamp(since_s, timezone.utc)
            now = datetime.fromtimestamp(max(since_s, now_s - LATE_S), timezone.utc)
            missed = runs_between(plan, since, now)
            if missed:
                yield Observation(MISSED, missed, {names.CELERY_BEAT_ENTRY: entry})

    def _since_s(self, board: Board, now_s: float) -> float:
        """By the look before, whichever process looked."""
        last = board.get(NAME)
        if last is None or last.age_s >= FRESH_INTERVALS * self.interval_s:
            return now_s
        return next((one.value for one in read(last.text) if one.name == ABSENT), now_s)


def _missed_by(alive: Mapping[str, Result]) -> Iterator[Observation]:
    """Of several beats, the one that is best off: each sends every run."""
    notes = [
        {str(one.attributes[names.CELERY_BEAT_ENTRY]): one.value for one in read(result.text)}
        for result in alive.values()
    ]
    for entry, missed in min(notes, key=lambda note: sum(note.values())).items():
        yield Observation(MISSED, missed, {names.CELERY_BEAT_ENTRY: entry})


def _schedule(app: Any) -> Iterator[tuple[str, Any]]:
    """The entries of the app's configuration."""
    from celery.schedules import maybe_schedule

    if app is None:
        return
    for name, entry in dict(app.conf.beat_schedule or {}).items():
        plan = entry.get("schedule") if isinstance(entry, Mapping) else None
        if plan is not None:
            yield str(name), maybe_schedule(plan, app=app)
