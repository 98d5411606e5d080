"""The list of traces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_django.contracts import TraceQuery
from otel_django.viewer import exports, search
from otel_django.viewer.duration_dots import dots
from otel_django.viewer.live import live, newer
from otel_django.viewer.page import Context, page
from otel_django.viewer.search_terms import Term

if TYPE_CHECKING:
    from django.http.response import HttpResponseBase

    from otel_django.contracts import TraceSummary
    from otel_django.viewer.visit import Visit

ROWS: Final = 100
EXAMPLES: Final = (
    Term("errors", ":", "yes"),
    Term("n+1", ":", "yes"),
    Term("duration", ">", "500ms"),
    Term("status", ":", "5xx"),
)


class Row(NamedTuple):
    """A trace; its bar is as long as ``whole`` and begins with ``database``, in per cent."""

    trace: TraceSummary
    database: str
    whole: str
    is_slow: bool


class Example(NamedTuple):
    """A term that a click adds to the search."""

    text: str
    address: str


@page("traces", "Traces")
def traces(visit: Visit) -> Context | HttpResponseBase:
    """What requests, tasks and commands did: the newest, or the slowest."""
    asked = visit.parameters.get("q", "").strip()
    understood = search.of_traces(asked)
    slowest = visit.chosen("sort", "", "duration") == "duration"
    query = _query(visit, understood, slowest=slowest)
    reader = visit.readers.traces

    def count(since_ns: int, most: int) -> int:
        newest = replace(query, since_ns=since_ns, limit=most, slowest_first=False)
        return len(reader.list_traces(newest).traces)

    answer = newer(visit, count)
    if answer is not None:
        return answer
    form = visit.chosen("format", "", *exports.FORMS)
    if form:
        return exports.of_traces(visit, query, form)
    found = reader.list_traces(replace(query, cursor=visit.text("cursor") or None))
    is_cut = found.cursor is not None and found.traces
    since_ns = found.traces[-1].start_ns if is_cut else visit.range.since_ns
    return {
        "rows": _rows(found.traces, visit.settings.slow_request_s),
        "answer": _answer(found.traces),
        "partial": found.partial,
        "chips": understood.chips,
        "mistakes": understood.mistakes,
        "examples": _examples(visit, asked),
        "slowest": slowest,
        "dots": dots(found.traces),
        "live": None if slowest else live(visit, len(found.traces), since_ns),
        "next": visit.here(cursor=found.cursor) if found.cursor else "",
        "first": visit.here(cursor=None) if visit.text("cursor") else "",
        "several_services": len({trace.service for trace in found.traces} - {""}) > 1,
        "is_narrowed": bool(understood.conditions or visit.service),
    }


def _query(visit: Visit, understood: search.Search, *, slowest: bool) -> TraceQuery:
    return understood.trace_query(
        TraceQuery(
            since_ns=visit.range.since_ns,
            until_ns=None if visit.range.key else visit.range.until_ns,
            service=visit.service,
            limit=ROWS,
            slowest_first=slowest,
        )
    )


def _rows(found: Sequence[TraceSummary], slow_s: float) -> list[Row]:
    durations = sorted(trace.duration_ns for trace in found)
    # One that took very long would leave nothing of the others' bars.
    full_ns = max(1, durations[len(durations) * 95 // 100]) if durations else 1
    rows = []
    for trace in found:
        whole = min(100, 100 * trace.duration_ns / full_ns)
        # Queries of several tasks can run at once.
        database = whole * min(1, trace.query_ns / max(1, trace.duration_ns))
        is_slow = trace.duration_ns >= slow_s * 1e9
        rows.append(Row(trace, f"{database:.2f}%", f"{max(whole, 0.5):.2f}%", is_slow))
    return rows


def _answer(found: Sequence[TraceSummary]) -> dict[str, Any]:
    """The figures of the line at the top, of the traces that are shown."""
    durations = sorted(trace.duration_ns for trace in found)
    return {
        "count": len(found),
        "p50_ns": durations[len(durations) // 2] if durations else None,
        "slowest": max(found, key=lambda trace: trace.duration_ns, default=None),
        "failed": sum(trace.failed for trace in found),
        "n_plus_one": sum(trace.n_plus_one > 0 for trace in found),
    }


def _examples(visit: Visit, asked: str) -> list[Example]:
    """Those that the search hasn't yet."""
    made = []
    for term in EXAMPLES:
        more = search.with_term(asked, term.key, term.value, term.sign)
        if more != asked:
            made.append(Example(str(term), visit.here(q=more, cursor=None)))
    return made
