"""How many tasks wait in Celery's queues, and for how long: as the broker told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_django import names
from otel_django.health import celery_seen
from otel_django.health.check import Registered
from otel_django.health.judging import finding
from otel_django.health.results import Result, worst

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otel_django.conf import Settings
    from otel_django.observation import Observation

NAME: Final = "celery_queues"


def checks(settings: Settings) -> Iterator[Registered]:
    """One check, an instance a queue."""
    check = QueuesCheck(settings)
    yield Registered(
        NAME,
        check.run,
        groups=frozenset({"all"}),
        timeout_s=settings.health_timeout_s,
        is_possible=check.seen.is_possible,
    )


class QueuesCheck:
    """Reads what is left of the last look in this host's folder."""

    def __init__(self, settings: Settings) -> None:
        self.seen = celery_seen.CelerySeen(settings, "celery.queues", "how long the queues are")
        self._length = settings.health_limits["queue_length"]
        self._wait_s = settings.health_limits["queue_wait_s"]

    def run(self) -> list[Result]:
        """Of each queue that is there."""
        from otel_django import metric_definitions as metrics

        rows = self.seen.rows()
        if rows is None:
            return [self.seen.unknown()]
        waits_s = _by_queue(rows, metrics.CELERY_QUEUE_OLDEST_MESSAGE_AGE.name)
        lengths = _by_queue(rows, metrics.CELERY_QUEUE_LENGTH.name)
        found = [self._of(queue, length, waits_s.get(queue)) for queue, length in lengths.items()]
        return found or [Result(message="The broker tells of no queue.")]

    def _of(self, queue: str, length: float, wait_s: float | None) -> Result:
        observed: dict[str, float] = {"length": int(length)}
        found = [Result(*finding(length, self._length, f"{length:.0f} tasks wait."))]
        if wait_s is not None:
            observed["oldest_wait_s"] = round(wait_s, 1)
            found.append(
                Result(*finding(wait_s, self._wait_s, f"The oldest waits for {wait_s:.0f} s."))
            )
        said = " ".join(each.message for each in found if each.message)
        return Result(worst(found), said, observed, queue)


def _by_queue(rows: Iterable[Observation], metric: str) -> dict[str, float]:
    return {
        str(one.attributes[names.MESSAGING_DESTINATION_NAME]): one.value
        for one in rows
        if one.name == metric
    }
