"""Which workers there are in the whole deployment, by what each tells of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from time import time
from typing import TYPE_CHECKING, Final, Literal

from otel_django import metric_definitions as metrics
from otel_django import names
from otel_django.observation import Observation
from otel_django.observers import celery_app
from otel_django.observers.celery_presence import HEARTBEAT_AGE, LONGEST_S, PREFIX, QUEUE
from otel_django.observers.turn import read

if TYPE_CHECKING:
    from otel_django.observers.board import Board, Result

NAME: Final = "celery.workers"
MISSED: Final = 3
"""Heartbeats' intervals after which a worker is offline."""
FORGOTTEN_S: Final = 3600.0
"""A worker that was killed, and isn't replaced by one of its name, is told of for so long."""


class CeleryWorkers:
    """``board`` gives where workers leave what they tell; None: nowhere."""

    name = NAME
    scope: Literal["deployment"] = "deployment"

    def __init__(
        self, interval_s: float, timeout_s: float, board: Callable[[], Board | None]
    ) -> None:
        self.interval_s = interval_s
        self.timeout_s = timeout_s
        self._board = board
        self._offline_s = MISSED * min(interval_s, LONGEST_S)
        self._queues: tuple[str, ...] = ()

    def is_possible(self) -> bool:
        """This process has the site's Celery app."""
        return celery_app.current() is not None

    def queues(self) -> tuple[str, ...]:
        """Those that workers took from at the last look."""
        return self._queues

    def observe(self) -> Iterator[Observation]:
        """Workers by state, and when each was heard of last."""
        board = self._board()
        if board is None:
            return
        known = board.posted(PREFIX)
        self._queues = tuple(sorted(set(_queues(known))))
        now_s = time()
        states = {"online": 0, "offline": 0}
        for worker, result in known.items():
            age_s = result.age_s + _heartbeat_age(result)
            if age_s > FORGOTTEN_S:
                board.remove(PREFIX + worker)
                continue
            states["offline" if age_s > self._offline_s else "online"] += 1
            yield Observation(
                metrics.CELERY_WORKER_LAST_HEARTBEAT.name,
                now_s - age_s,
                {names.CELERY_WORKER: worker},
            )
        for state, count in states.items():
            which = {names.CELERY_WORKER_STATE: state}
            yield Observation(metrics.CELERY_WORKERS.name, count, which)


def _heartbeat_age(result: Result) -> float:
    return next((one.value for one in read(result.text) if one.name == HEARTBEAT_AGE), 0.0)


def _queues(known: Mapping[str, Result]) -> Iterator[str]:
    for result in known.values():
        for one in read(result.text):
            if one.name == QUEUE:
                yield str(one.attributes[QUEUE])
