"""What is known of Celery's queues, workers and beat: as was seen just now, else as it is kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otel_django import metric_definitions as metrics
from otel_django import names
from otel_django.observers import active, celery_beats, celery_queues, celery_workers
from otel_django.observers.celery_beat_presence import MISSED
from otel_django.viewer import chart, search_terms, series
from otel_django.viewer.levels import last_known

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_django.metric_points import MetricDefinition
    from otel_django.observation import Observation
    from otel_django.viewer.series import Reading
    from otel_django.viewer.visit import Visit

SILENT: Final = "silent"
SILENT_S: Final = 120.0
"""A worker that nobody watches, and that wasn't heard of for so long, is silent."""


@dataclass(slots=True)
class Queue:
    """``length`` and ``oldest_s`` are as at the range's end, None where they aren't known;
    ``before`` is the length at its begin, ``course`` the pieces of a small line.
    """

    name: str
    length: float | None = None
    oldest_s: float | None = None
    before: float | None = None
    course: tuple[str, ...] = ()

    @property
    def oldest_ns(self) -> float | None:
        """How long the message that waits longest has waited."""
        return None if self.oldest_s is None or not self.length else self.oldest_s * 1e9

    @property
    def query(self) -> str:
        """The search for traces of its tasks."""
        return search_terms.written(names.MESSAGING_DESTINATION_NAME, self.name)


@dataclass(slots=True)
class Worker:
    """``state`` is empty where nobody watches; figures are None where they aren't told."""

    name: str
    state: str = ""
    heard_s: float | None = None
    running: float | None = None
    reserved: float | None = None
    response_s: float | None = None

    @property
    def heard_ns(self) -> int | None:
        """When it was heard of last."""
        return None if self.heard_s is None else int(self.heard_s * 1e9)

    @property
    def response_ns(self) -> float | None:
        """How long it took, idle, to take a task."""
        return None if self.response_s is None else self.response_s * 1e9

    @property
    def query(self) -> str:
        """The search for traces of tasks that it ran."""
        return search_terms.written("", self.name)


def queues(visit: Visit) -> tuple[list[Queue], Reading]:
    """Those that are known, the longest first; and the course of their lengths."""
    by = (names.MESSAGING_DESTINATION_NAME,)
    lengths = _read(visit, metrics.CELERY_QUEUE_LENGTH, by)
    found: dict[str, Queue] = {}
    for (name,), group in lengths.groups.items():
        levels = group.levels("max")
        first = next((level for level in levels if level is not None), None)
        pieces = tuple(chart.spark(levels))
        found[name] = Queue(name, levels[-1], None, first, pieces)
    for (name,), group in _read(visit, metrics.CELERY_QUEUE_OLDEST_MESSAGE_AGE, by).groups.items():
        found.setdefault(name, Queue(name)).oldest_s = group.levels("max")[-1]
    for seen in _latest(visit, celery_queues.NAME):
        name = str(seen.attributes.get(names.MESSAGING_DESTINATION_NAME, ""))
        if seen.name == metrics.CELERY_QUEUE_LENGTH.name:
            found.setdefault(name, Queue(name)).length = seen.value
        elif seen.name == metrics.CELERY_QUEUE_OLDEST_MESSAGE_AGE.name:
            found.setdefault(name, Queue(name)).oldest_s = seen.value
    ordered = sorted(found.values(), key=lambda each: (-(each.length or 0), each.name))
    return ordered, lengths


def workers(visit: Visit) -> list[Worker]:
    """Those that were heard of in the range, by name."""
    by = (names.CELERY_WORKER,)
    found: dict[str, Worker] = {}
    for (name,), group in _read(visit, metrics.CELERY_WORKER_LAST_HEARTBEAT, by).groups.items():
        heard_s = last_known(group.levels("max"))
        if heard_s is not None:
            found[name] = Worker(name, _state(visit, heard_s), heard_s)
    for (name,), group in _read(visit, metrics.CELERY_WORKER_RESPONSE_TIME, by).groups.items():
        found.setdefault(name, Worker(name)).response_s = group.levels("max")[-1]
    by_state = (names.CELERY_WORKER, names.CELERY_WORKER_TASK_STATE)
    for (name, state), group in _read(visit, metrics.CELERY_WORKER_TASKS, by_state).groups.items():
        attribute = "running" if state == "active" else "reserved"
        setattr(found.setdefault(name, Worker(name)), attribute, group.levels("max")[-1])
    for seen in _latest(visit, celery_workers.NAME):
        if seen.name == celery_workers.WORKER:
            name = str(seen.attributes.get(names.CELERY_WORKER, ""))
            one = found.setdefault(name, Worker(name))
            one.state = str(seen.attributes.get(names.CELERY_WORKER_STATE, ""))
            one.heard_s = visit.now_ns / 1e9 - seen.value
    return sorted(found.values(), key=lambda each: each.name)


def states(visit: Visit, known: Iterable[Worker]) -> list[tuple[str, int]]:
    """How many workers are in which state: by what is known of each, else by what was counted."""
    counts = Counter(each.state for each in known if each.state)
    if set(counts) <= {SILENT}:
        by = (names.CELERY_WORKER_STATE,)
        counted = {
            state: group.levels("max")[-1]
            for (state,), group in _read(visit, metrics.CELERY_WORKERS, by).groups.items()
        }
        if any(counted.values()):
            counts = Counter({state: round(count or 0) for state, count in counted.items()})
    return [(state, counts[state]) for state in (*celery_workers.STATES, SILENT) if counts[state]]


def missed_runs(visit: Visit) -> list[tuple[str, int]]:
    """Entries of beat's schedule with the runs that did not come, most first."""
    found: dict[str, int] = {}
    by = (names.CELERY_BEAT_ENTRY,)
    for (entry,), group in _read(visit, metrics.CELERY_BEAT_MISSED_RUNS, by).groups.items():
        found[entry] = round(group.total or 0)
    for seen in _latest(visit, celery_beats.NAME):
        if seen.name == MISSED:
            entry = str(seen.attributes.get(names.CELERY_BEAT_ENTRY, ""))
            found[entry] = max(found.get(entry, 0), round(seen.value))
    return sorted(((e, n) for e, n in found.items() if n), key=lambda each: -each[1])


def _state(visit: Visit, heard_s: float) -> str:
    return "" if visit.range.until_ns / 1e9 - heard_s <= SILENT_S else SILENT


def _latest(visit: Visit, observer: str) -> Iterable[Observation]:
    """What this site's processes saw just now, where the page is about now and about them."""
    is_ours = visit.service in {None, visit.settings.service_name}
    return (active.latest(observer) or ()) if visit.range.key and is_ours else ()


def _read(visit: Visit, metric: MetricDefinition, by: tuple[str, ...]) -> Reading:
    reader = visit.readers.metrics
    return series.read(reader, metric.name, visit.range, by=by, service=visit.service)
