"""Whether Celery's workers are there and work: by what each told of itself, not by a ping."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_django import names
from otel_django.health import celery_seen
from otel_django.health.check import Registered
from otel_django.health.results import Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from otel_django.conf import Settings
    from otel_django.observation import Observation

NAME: Final = "celery_workers"
UNSERVED_S: Final = 60.0
"""How long tasks may wait in a queue without a worker: one that is replaced is away for less."""


def checks(settings: Settings) -> Iterator[Registered]:
    """One check, an instance a worker and a queue that has none."""
    check = WorkersCheck(settings)
    yield Registered(
        NAME,
        check.run,
        groups=frozenset({"all"}),
        timeout_s=settings.health_timeout_s,
        is_possible=check.seen.is_possible,
    )


class Worker(NamedTuple):
    """As it was seen. Times in seconds."""

    name: str
    state: str
    silent_s: float
    heartbeat_age_s: float
    busy_s: float
    queues: tuple[str, ...]


class WorkersCheck:
    """Reads what is left of the last look in this host's folder."""

    def __init__(self, settings: Settings) -> None:
        self.seen = celery_seen.CelerySeen(settings, "celery.workers", "which workers there are")
        self._queues = celery_seen.CelerySeen(settings, "celery.queues", "")

    def run(self) -> list[Result]:
        """Of each worker, and of each queue in which tasks wait for none."""
        rows = self.seen.rows()
        if rows is None:
            return [self.seen.unknown()]
        workers = list(_workers(rows))
        served = {queue for one in workers if one.state != "offline" for queue in one.queues}
        found = [_of_worker(one, served) for one in workers]
        found += _of_unserved(rows, self._queues.rows() or (), served)
        return found or [Result(message="No worker is there, and no task waits for one.")]


def _workers(rows: Iterable[Observation]) -> Iterator[Worker]:
    from otel_django.observers.celery_workers import WORKER

    for one in rows:
        if one.name == WORKER:
            told: dict[str, Any] = dict(one.attributes)
            yield Worker(
                told[names.CELERY_WORKER],
                told[names.CELERY_WORKER_STATE],
                told["silent_s"],
                told["heartbeat_age_s"],
                told["busy_s"],
                tuple(told["queues"]),
            )


def _of_worker(worker: Worker, served: AbstractSet[str]) -> Result:
    observed = {
        "silent_s": round(worker.silent_s, 1),
        "heartbeat_age_s": round(worker.heartbeat_age_s, 1),
        "busy_s": round(worker.busy_s, 1),
    }
    if worker.state == "online":
        return Result(observed=observed, instance=worker.name)
    if worker.state == "offline":
        message = f"Not heard of for {worker.silent_s:.0f} s: killed, paused, or cut off."
        if served >= set(worker.queues):
            message += " Others take from its queues."
            return Result("degraded", message, observed, worker.name)
        return Result("unhealthy", message, observed, worker.name)
    message = f"No free place for a task, and none has ended for {worker.busy_s:.0f} s."
    if worker.heartbeat_age_s > worker.busy_s:
        message = (
            f"Its loop hasn't turned for {worker.heartbeat_age_s:.0f} s: it is stuck, or has "
            "lost its broker."
        )
    return Result("unhealthy", message, observed, worker.name)


def _of_unserved(
    rows: Sequence[Observation], queues: Iterable[Observation], served: AbstractSet[str]
) -> Iterator[Result]:
    from otel_django import metric_definitions as metrics
    from otel_django.observers.celery_workers import SERVED, WATCHED

    left_s = {str(one.attributes["queue"]): one.value for one in rows if one.name == SERVED}
    watched_s = next((one.value for one in rows if one.name == WATCHED), time())
    for one in queues:
        if one.name != metrics.CELERY_QUEUE_LENGTH.name or not one.value:
            continue
        queue = str(one.attributes[names.MESSAGING_DESTINATION_NAME])
        unserved_s = time() - left_s.get(queue, watched_s)
        if queue not in served and unserved_s >= UNSERVED_S:
            yield Result(
                "unhealthy",
                f"Tasks wait here ({one.value:.0f}), and no worker has taken any for "
                f"{unserved_s:.0f} s.",
                {"length": int(one.value), "unserved_s": round(unserved_s, 1)},
                f"queue {queue}",
            )
