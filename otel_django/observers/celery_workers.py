"""Which workers there are in the whole deployment, by what each tells of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from time import time
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from otel_django import metric_definitions as metrics
from otel_django import names
from otel_django.observation import Observation
from otel_django.observers import celery_app
from otel_django.observers.celery_presence import BUSY, HEARTBEAT_AGE, LONGEST_S, PREFIX, QUEUE
from otel_django.observers.turn import FRESH_INTERVALS, read

if TYPE_CHECKING:
    from otel_django.observers.board import Board

State = Literal["online", "stuck", "offline"]
STATES: Final[tuple[State, ...]] = ("online", "stuck", "offline")
NAME: Final = "celery.workers"
MISSED: Final = 3
"""Intervals of what a worker tells, and of its heartbeats, after which it counts as missing."""
FORGOTTEN_S: Final = 3600.0
"""A worker that was killed, and isn't replaced by one of its name, is told of for so long."""
WORKER: Final = "worker"
"""Seconds since it was heard of; attributes: its name, state, queues and the figures it told."""
SERVED: Final = "queue_served"
"""When a worker that isn't offline took from a queue last, in Unix time."""
WATCHED: Final = "watched"
"""Since when, without a long break."""


class Told(NamedTuple):
    """One worker by its note. Ages in seconds."""

    silent_s: float
    heartbeat_age_s: float
    busy_s: float
    queues: tuple[str, ...]

    @property
    def age_s(self) -> float:
        """Since its last heartbeat."""
        return self.silent_s + self.heartbeat_age_s


def told(text: str, silent_s: float) -> Told:
    """What is left of a worker, ``silent_s`` ago."""
    rows = read(text)
    figures = {one.name: one.value for one in rows}
    queues = tuple(str(one.attributes[QUEUE]) for one in rows if one.name == QUEUE)
    return Told(silent_s, figures.get(HEARTBEAT_AGE, 0.0), figures.get(BUSY, 0.0), queues)


class CeleryWorkers:
    """``board`` gives where workers leave what they tell; None: nowhere.

    Workers that end no task for ``stuck_s`` although they have no room for another one are stuck,
    and so are those whose loop doesn't turn.
    """

    name = NAME
    scope: Literal["deployment"] = "deployment"

    def __init__(
        self,
        interval_s: float,
        timeout_s: float,
        board: Callable[[], Board | None],
        *,
        stuck_s: float,
    ) -> None:
        self.interval_s = interval_s
        self.timeout_s = timeout_s
        self._board = board
        self._stuck_s = stuck_s
        self._offline_s = MISSED * min(interval_s, LONGEST_S)
        self._queues: tuple[str, ...] = ()

    def is_possible(self) -> bool:
        """This process has the site's Celery app."""
        return celery_app.current() is not None

    def queues(self) -> tuple[str, ...]:
        """Those that workers took from, at the last look and for an hour before."""
        return self._queues

    def observe(self) -> Iterator[Observation]:
        """Workers by state, and when each was heard of last."""
        board = self._board()
        if board is None:
            return
        now_s = time()
        workers = dict(self._workers(board))
        for worker, one in workers.items():
            which = {names.CELERY_WORKER: worker}
            heard_s = now_s - one.age_s
            yield Observation(metrics.CELERY_WORKER_LAST_HEARTBEAT.name, heard_s, which)
            figures = {**one._asdict(), names.CELERY_WORKER_STATE: self._state(one)}
            yield Observation(WORKER, one.age_s, {**which, **figures})
        states = [self._state(one) for one in workers.values()]
        for state in STATES:
            which = {names.CELERY_WORKER_STATE: state}
            yield Observation(metrics.CELERY_WORKERS.name, states.count(state), which)
        yield from self._history(board, workers, now_s)

    def _workers(self, board: Board) -> Iterator[tuple[str, Told]]:
        for worker, result in board.posted(PREFIX).items():
            one = told(result.text, result.age_s)
            if one.age_s > FORGOTTEN_S and one.silent_s > self._offline_s:
                board.remove(PREFIX + worker)
            else:
                yield worker, one

    def _state(self, one: Told) -> State:
        if one.silent_s > self._offline_s:
            return "offline"
        if one.heartbeat_age_s > self._offline_s or one.busy_s >= self._stuck_s:
            return "stuck"
        return "online"

    def _history(
        self, board: Board, workers: Mapping[str, Told], now_s: float
    ) -> Iterator[Observation]:
        """Carried on from the look before, whichever process looked."""
        last = board.get(NAME)
        before: tuple[Observation, ...] = ()
        if last is not None and last.age_s < FRESH_INTERVALS * self.interval_s:
            before = read(last.text)
        watched_s = next((one.value for one in before if one.name == WATCHED), now_s)
        served = {
            str(one.attributes[QUEUE]): one.value
            for one in before
            if one.name == SERVED and now_s - one.value < FORGOTTEN_S
        }
        for one in workers.values():
            if self._state(one) != "offline":
                served.update(dict.fromkeys(one.queues, now_s))
        self._queues = tuple(sorted({*served, *_all_queues(workers)}))
        yield Observation(WATCHED, watched_s)
        for queue, when_s in served.items():
            yield Observation(SERVED, when_s, {QUEUE: queue})


def _all_queues(workers: Mapping[str, Told]) -> Iterator[str]:
    for one in workers.values():
        yield from one.queues
