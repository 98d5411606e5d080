"""One route, task or command: its course, its slowest traces, and what these ask the database."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from otel_django import names
from otel_django.contracts import TraceQuery
from otel_django.viewer import search_terms
from otel_django.viewer.chart import Line, chart
from otel_django.viewer.statement import statement_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otel_django.contracts import SpanRow, TraceSummary
    from otel_django.roll_ups import Timeline
    from otel_django.viewer.visit import Visit

SLOWEST: Final = 10
LOOKED_INTO: Final = 5
"""Of the slowest traces, for their statements; those with more than MOST_SPANS spans aren't."""
MOST_SPANS: Final = 1000
MOST_STATEMENTS: Final = 20
LEAST_SHARE: Final = 0.25
"""How much of a step must have passed for a rate of it."""
SENT: Final = ("process ", "send ", "command ")


@dataclass(slots=True)
class Asked:
    """A statement as the slowest traces have it; ``count`` is of all of them together."""

    text: str
    key: str
    count: int = 0
    duration_ns: int = 0


def one_endpoint(visit: Visit) -> dict[str, Any]:
    """What ``_endpoint.html`` shows of the one that the address names, with its service."""
    name, service = visit.text("endpoint"), visit.text("of", 200) or visit.service
    when = visit.range
    timeline = visit.readers.timeline.requests(
        when.since_ns, when.until_ns, when.step_ns, service, name
    )
    before = visit.readers.timeline.requests(
        when.before().since_ns, when.since_ns, when.length_ns, service, name
    )
    slowest, partial = _slowest(visit, name, service)
    looked_into = [each for each in slowest if each.span_count <= MOST_SPANS][:LOOKED_INTO]
    return {
        "title": name,
        "chosen": name,
        "of": service,
        "total": timeline.total,
        "rate": timeline.total.count / visit.counted.length_s,
        "error_share": timeline.total.errors / max(timeline.total.count, 1),
        "before": before.total,
        "rates": rates(timeline, visit.counted.until_ns),
        "percentiles": percentiles(timeline),
        "slowest": slowest,
        "longest_ns": max((each.duration_ns for each in slowest), default=1),
        "statements": _statements(visit, looked_into, name),
        "looked_into": len(looked_into),
        "traces_query": traces_query(name),
        "logs_query": logs_query(name),
        "errors_query": name.partition(" ")[2] or name,
        "partial": partial or timeline.partial,
    }


def traces_query(name: str) -> str:
    """The search for its traces. A task is mostly a part of what sent it, so found by its words."""
    task = name.removeprefix("process ")
    return search_terms.written("name" if task == name else "", task)


def logs_query(name: str) -> str:
    """The search for its log records."""
    method, _, route = name.partition(" ")
    if name.startswith(SENT):
        return search_terms.written("", route)
    return search_terms.written(names.HTTP_ROUTE, route) if method.isupper() and route else ""


def rates(timeline: Timeline, until_ns: int) -> dict[str, Any]:
    """A chart of calls and failures a second; a step that has just begun has no rate yet.

    ``until_ns`` is up to when they are counted.
    """
    step_ns = timeline.step_ns
    lengths_s = [
        max(0, min(step_ns, until_ns - moment.start_ns)) / 1e9 for moment in timeline.moments
    ]
    known = [length_s if length_s * 1e9 >= LEAST_SHARE * step_ns else 0 for length_s in lengths_s]

    def per_second(counts: Iterable[int]) -> list[float | None]:
        return [count / each if each else None for count, each in zip(counts, known, strict=True)]

    calls = per_second(moment.count for moment in timeline.moments)
    failures = per_second(moment.errors for moment in timeline.moments)
    lines = (Line("calls", calls, "code"), Line("failed", failures, "error"))
    return chart("/s", _times_s(timeline), lines)


def percentiles(timeline: Timeline) -> dict[str, Any]:
    """A chart of how long calls take."""
    lines = [
        Line(name, [_seconds(getattr(moment, f"{name}_ns")) for moment in timeline.moments], colour)
        for name, colour in (("p50", "good"), ("p95", "code"), ("p99", "warn"))
    ]
    return chart("s", _times_s(timeline), lines)


def _seconds(duration_ns: int | None) -> float | None:
    return None if duration_ns is None else duration_ns / 1e9


def _times_s(timeline: Timeline) -> list[float]:
    return [moment.start_ns / 1e9 for moment in timeline.moments]


def _slowest(visit: Visit, name: str, service: str | None) -> tuple[list[TraceSummary], str]:
    when = visit.range
    task = name.removeprefix("process ")
    found = visit.readers.traces.list_traces(
        TraceQuery(
            since_ns=when.since_ns,
            until_ns=when.until_ns,
            service=service if task == name else None,
            name=name if task == name else None,
            text="" if task == name else task,
            limit=SLOWEST,
            slowest_first=True,
        )
    )
    return list(found.traces), found.partial


def _statements(visit: Visit, traces: Iterable[TraceSummary], name: str) -> list[Asked]:
    """What was asked below the spans of that name, most time first."""
    found: dict[str, Asked] = {}
    for trace in traces:
        detail = visit.readers.traces.get_trace(trace.trace_id)
        for span in _below(() if detail is None else detail.spans, name):
            text = span.attributes.get(names.DB_QUERY_TEXT)
            if isinstance(text, str):
                one = found.setdefault(text, Asked(text, statement_key(text)))
                one.count += 1
                one.duration_ns += span.duration_ns
    return sorted(found.values(), key=lambda each: -each.duration_ns)[:MOST_STATEMENTS]


def _below(spans: Iterable[SpanRow], name: str) -> Iterator[SpanRow]:
    """Each span once, wherever parents go in circles."""
    children: dict[str | None, list[SpanRow]] = defaultdict(list)
    left: list[SpanRow] = []
    for span in spans:
        children[span.parent_id].append(span)
        if span.local_root and span.name == name:
            left.append(span)
    seen = set()
    while left:
        span = left.pop()
        if span.span_id not in seen:
            seen.add(span.span_id)
            yield span
            left += [each for each in children[span.span_id] if not each.local_root]
