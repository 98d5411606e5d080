"""Which routes, tasks and commands take the time, and one of them over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otel_django.viewer import chart
from otel_django.viewer.endpoint import one_endpoint, traces_query
from otel_django.viewer.page import Context, page
from otel_django.viewer.search import with_term
from otel_django.viewer.table import Column, in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from otel_django.contracts import OperationStats
    from otel_django.viewer.visit import Visit

MOST_ROWS: Final = 200
SPARK_STEPS: Final = 30
ENOUGH: Final = 20
"""Calls in both ranges before a change of the 95th percentile says anything."""
NOTABLE: Final = 0.2
"""Percentiles are read off buckets: smaller changes are none."""
_KINDS: Final = {"requests": "Requests", "tasks": "Tasks", "all": "All"}
_UNITS: Final = {"s": 1, "min": 60, "h": 3600}
_COLUMNS: Final = (
    Column("name", "Endpoint", text=True),
    Column("rate", "Calls", "Calls by time"),
    Column("error_share", "Failed", "Share of calls that failed"),
    Column("p50_ns", "p50", "Half of the calls took no longer", classes="number roomy"),
    Column("p95_ns", "p95", "95 of 100 calls took no longer"),
    Column("p99_ns", "p99", "99 of 100 calls took no longer", classes="number roomy"),
    Column(
        "change", "p95 change", "Change of p95 against the range before", classes="number roomy"
    ),
    Column("queries", "Queries", "Database queries a call", classes="number roomy"),
    Column("share", "Share of time", "Of the time of all that is listed", classes="wide"),
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A row. ``change`` is of p95, 0.0 for one that is too small to say; ``is_new``: it had no
    calls in the range before, which had others.
    """

    name: str
    service: str
    count: int
    rate: float
    errors: int
    error_share: float
    p50_ns: int
    p95_ns: int
    p99_ns: int
    queries: float | None
    duration_ns: int
    share: float
    change: float | None = None
    is_new: bool = False

    @property
    def failed_query(self) -> str:
        """The search for the traces in which it failed."""
        return with_term(traces_query(self.name), "errors", "yes")


@page("endpoints", "Endpoints")
def endpoints(visit: Visit) -> Context:
    """What processes do, by name; with ``?endpoint=`` one of them."""
    if visit.text("endpoint"):
        return one_endpoint(visit)
    when = visit.range
    kind = visit.chosen("kind", *_KINDS)
    found = _wanted(visit, kind, when.since_ns, when.until_ns)
    ask = visit.parts.ask
    before = ask("the time before", lambda: _before(visit, kind)) or ()
    rows = _rows(found, before, visit.counted.length_s)
    text = visit.text("q").lower()
    matching = [row for row in rows if text in f"{row.name} {row.service}".lower()]
    per = _in_one_unit(max((row.rate for row in matching), default=0.0))
    ordered, headings = in_order(visit, matching, _COLUMNS, "share")
    courses = ask("courses", lambda: _courses(visit)) or {}
    count = sum(row.count for row in matching)
    return {
        "rows": [
            (row, per(row.rate), chart.spark(courses.get((row.service, row.name), ())))
            for row in ordered[:MOST_ROWS]
        ],
        "headings": headings,
        "total": len(matching),
        "largest_share": max((row.share for row in matching), default=1.0),
        "busiest": max(matching, key=lambda row: row.duration_ns, default=None),
        "rate": count / visit.counted.length_s,
        "error_share": sum(row.errors for row in matching) / count if count else None,
        "kind": kind,
        "kinds": [(title, visit.here(kind=key), key == kind) for key, title in _KINDS.items()],
        "several_services": len({row.service for row in matching}) > 1,
        "is_filtered": bool(text),
    }


def _wanted(visit: Visit, kind: str, since_ns: int, until_ns: int) -> list[OperationStats]:
    found = visit.readers.traces.endpoints(since_ns, until_ns)
    return [
        each
        for each in found
        if visit.service in (None, each.service) and kind in ("all", _kind_of(each.name))
    ]


def _before(visit: Visit, kind: str) -> list[OperationStats]:
    return _wanted(visit, kind, visit.range.before().since_ns, visit.range.since_ns)


def _courses(visit: Visit) -> Mapping[tuple[str, str], tuple[int, ...]]:
    when = visit.range
    step_ns = when.length_ns // SPARK_STEPS
    return visit.readers.timeline.courses(when.since_ns, when.until_ns, step_ns)


def _kind_of(name: str) -> str:
    """By the names that spans of the kind have."""
    if name.startswith("process "):
        return "tasks"
    return "requests" if name[:1].isupper() else "others"


def _in_one_unit(highest: float) -> Callable[[float], str]:
    """How rates of a column are written: by the shortest time in which the highest is one."""
    unit, length_s = next(
        (each for each in _UNITS.items() if highest * each[1] >= 1), ("h", _UNITS["h"])
    )

    def written(rate: float) -> str:
        figure = rate * length_s
        if 0 < figure < 0.05:
            return f"< 0.1/{unit}"
        return f"{figure:,.{1 if figure < 100 else 0}f}/{unit}"

    return written


def _rows(
    found: Sequence[OperationStats], before: Iterable[OperationStats], length_s: float
) -> list[Endpoint]:
    earlier = {(each.service, each.name): each for each in before}
    whole_ns = sum(each.duration_ns for each in found) or 1
    return [
        Endpoint(
            each.name,
            each.service,
            each.count,
            each.count / length_s,
            each.errors,
            each.errors / each.count,
            each.p50_ns,
            each.p95_ns,
            each.p99_ns,
            each.queries / each.count if each.queries else None,
            each.duration_ns,
            each.duration_ns / whole_ns,
            _change(each, earlier.get((each.service, each.name))),
            bool(earlier) and (each.service, each.name) not in earlier,
        )
        for each in found
        if each.count
    ]


def _change(now: OperationStats, before: OperationStats | None) -> float | None:
    if before is None or min(now.count, before.count) < ENOUGH or not before.p95_ns:
        return None
    change = now.p95_ns / before.p95_ns - 1
    return change if abs(change) >= NOTABLE else 0.0
