"""Whether work piles up: queues, workers, tasks, and what beat missed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from otel_django import metric_definitions as metrics
from otel_django import names
from otel_django.viewer import celery_state, search_terms, series
from otel_django.viewer.chart import Line, chart
from otel_django.viewer.live import anew
from otel_django.viewer.page import Context, page
from otel_django.viewer.table import Column, in_order

if TYPE_CHECKING:
    from otel_django.viewer.series import Reading
    from otel_django.viewer.visit import Visit

MOST_ROWS: Final = 200
MOST_LINES: Final = 6
STEPS: Final = 30
"""Only sums of the whole range are shown: of a hundred tasks, in as many states and queues."""
PROCESS: Final = "process "
_NO_RUNS: Final = frozenset({"revoked", "rejected"})
"""States of tasks that ended without having run."""
_COLUMNS: Final = (
    Column("name", "Task", text=True),
    Column("runs", "Runs"),
    Column("failures", "Failed"),
    Column("retries", "Retried", classes="number roomy"),
    Column(
        "wait_p95_ns",
        "Wait p95",
        "95 of 100 waited no longer in their queue",
        classes="number roomy",
    ),
    Column("p50_ns", "Run p50", "Half of the runs took no longer", classes="number roomy"),
    Column("p95_ns", "Run p95", "95 of 100 runs took no longer"),
    Column("duration_ns", "Time", "All runs together", classes="wide"),
)


@dataclass(slots=True)
class Task:
    """A row; times are None where none is known."""

    name: str
    states: dict[str, int] = field(default_factory=dict)
    queues: set[str] = field(default_factory=set)
    recorded: int = 0
    recorded_failures: int = 0
    duration_ns: int = 0
    p50_ns: int | None = None
    p95_ns: int | None = None
    wait_p95_ns: float | None = None

    @property
    def runs(self) -> int:
        """By metrics; by traces where there are none."""
        counted = sum(n for state, n in self.states.items() if state not in _NO_RUNS)
        return counted or self.recorded

    @property
    def failures(self) -> int:
        """Runs that failed for good."""
        return self.states.get("failure", 0) if self.states else self.recorded_failures

    @property
    def retries(self) -> int:
        """Runs that asked for another one."""
        return self.states.get("retry", 0)

    @property
    def others(self) -> list[tuple[str, int]]:
        """Those that did not run, by state."""
        return [(state, n) for state, n in sorted(self.states.items()) if state in _NO_RUNS and n]

    @property
    def endpoint(self) -> str:
        """The name of its spans in workers."""
        return f"{PROCESS}{self.name}"

    @property
    def query(self) -> str:
        """The search for its traces."""
        return search_terms.written("", self.name)


@page("tasks", "Tasks")
def tasks(visit: Visit) -> Context:
    """What waits, who works, what ran and how it ended."""
    queues, lengths = celery_state.queues(visit)
    workers = celery_state.workers(visit)
    found, note = _tasks(visit)
    text = visit.text("q").lower()
    matching = [each for each in found if text in each.name.lower()]
    rows, headings = in_order(visit, matching, _COLUMNS, "duration_ns")
    missed = celery_state.missed_runs(visit)
    return {
        "live": anew(visit),
        "queues": queues,
        "are_known": any(each.length is not None for each in queues),
        "waiting": sum(each.length or 0 for each in queues),
        "oldest": max(queues, key=lambda each: each.oldest_ns or 0, default=None),
        "lengths": chart("{message}", lengths.steps.times_s, _lines(lengths)),
        "workers": workers,
        "states": celery_state.states(visit, workers),
        "rows": rows[:MOST_ROWS],
        "headings": headings,
        "matching": len(matching),
        "longest_ns": max((each.duration_ns for each in matching), default=1),
        "runs": sum(each.runs for each in found),
        "failures": sum(each.failures for each in found),
        "missed": missed,
        "missed_count": sum(count for _, count in missed),
        "is_filtered": bool(text),
        "partial": note,
    }


def _tasks(visit: Visit) -> tuple[list[Task], str]:
    found: dict[str, Task] = {}
    by = (names.CELERY_TASK_NAME, names.MESSAGING_DESTINATION_NAME, names.CELERY_TASK_STATE)
    ended = _read(visit, metrics.CELERY_TASK_EXECUTIONS.name, by)
    for (name, queue, state), group in ended.groups.items():
        count = round(group.total or 0)
        if count:
            task = found.setdefault(name, Task(name))
            task.states[state] = task.states.get(state, 0) + count
            task.queues.add(queue)
    waited = _read(visit, metrics.CELERY_TASK_QUEUE_WAIT.name, by[:1])
    for (name,), group in waited.groups.items():
        if group.spread.count:
            task = found.setdefault(name, Task(name))
            task.wait_p95_ns = 1e9 * group.spread.quantile_s(0.95)
    when = visit.range
    for each in visit.readers.traces.endpoints(when.since_ns, when.until_ns):
        if each.name.startswith(PROCESS) and visit.service in (None, each.service):
            name = each.name.removeprefix(PROCESS)
            task = found.setdefault(name, Task(name))
            if each.count > task.recorded:
                task.p50_ns, task.p95_ns = each.p50_ns, each.p95_ns
            task.recorded += each.count
            task.recorded_failures += each.errors
            task.duration_ns += each.duration_ns
    return list(found.values()), ended.partial or waited.partial


def _lines(lengths: Reading) -> list[Line]:
    found = [Line(name, group.levels("max")) for (name,), group in lengths.groups.items()]
    found.sort(key=lambda line: -max((point or 0 for point in line.points), default=0))
    return found[:MOST_LINES]


def _read(visit: Visit, name: str, by: tuple[str, ...]) -> Reading:
    reader, when = visit.readers.metrics, visit.range
    return series.read(reader, name, when, by=by, service=visit.service, most_steps=STEPS)
