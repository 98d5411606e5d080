"""Which statements take the database's time, and which run over and over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from otel_django import names
from otel_django.contracts import LogQuery, TracePage, TraceQuery
from otel_django.errors import UnansweredError
from otel_django.viewer.page import Context, page
from otel_django.viewer.sql_layout import brief, laid_out
from otel_django.viewer.statement import statement_key, traces_with
from otel_django.viewer.table import Column, in_order
from otel_django.viewer.visit import Missing
from otel_django.web import ratings
from otel_django.web.query_performance import MATTERS, repeated_statements

if TYPE_CHECKING:
    from otel_django.contracts import OperationStats, TraceSummary
    from otel_django.viewer.visit import Visit
    from otel_django.web.query_performance import RepeatedStatement
    from otel_django.web.ratings import Rating

MOST_ROWS: Final = 100
MOST_REPEATED: Final = 20
CANDIDATES: Final = 15
"""Traces with a statement's words that are looked into; not those with more than MOST_SPANS."""
MOST_SPANS: Final = 1000
_SHOWN: Final = {"all": "All", "slow": "Slow", "failed": "Failed"}
_COLUMNS: Final = (
    Column("text", "Statement", text=True),
    Column("count", "Runs"),
    Column("errors", "Failed", classes="number roomy"),
    Column("mean_ns", "Mean", classes="number roomy"),
    Column("p95_ns", "p95", "95 of 100 runs took no longer"),
    Column("duration_ns", "Time", "All runs together"),
    Column("share", "Share of time", "Of the time of all statements", classes="wide"),
)


@dataclass(frozen=True, slots=True)
class Statement:
    """A row; ``brief`` is the text on one line without what is selected."""

    text: str
    key: str
    brief: str
    service: str
    count: int
    errors: int
    mean_ns: float
    p50_ns: int
    p95_ns: int
    p99_ns: int
    duration_ns: int
    share: float
    rating: Rating


@page("database", "Database")
def database(visit: Visit) -> Context:
    """Statements, most time first; with ``?statement=`` one of them."""
    when = visit.range
    known: tuple[OperationStats, ...] | None
    try:
        known = visit.readers.traces.statements(when.since_ns, when.until_ns)
    except UnansweredError as error:
        known = None
        visit.parts.say(str(error))
    found = tuple(each for each in known or () if visit.service in (None, each.service))
    whole_ns = sum(each.duration_ns for each in found) or 1
    statements = [_statement(each, whole_ns, visit.settings.slow_query_s) for each in found]
    asked = LogQuery(since_ns=when.since_ns, until_ns=when.until_ns, service=visit.service)
    repeated, note = visit.parts.ask(
        "N+1", lambda: repeated_statements(visit.readers.logs, asked)
    ) or ([], "")
    if visit.text("statement"):
        return _one(visit, statements, repeated)
    shown = visit.chosen("show", *_SHOWN)
    text = visit.text("q").lower()
    matching = [each for each in statements if text in each.text.lower() and _is(each, shown)]
    ordered, headings = in_order(visit, matching, _COLUMNS, "share")
    rated = [each.rating for each in statements if each.share >= MATTERS]
    return {
        "is_known": known is not None,
        "rows": ordered[:MOST_ROWS],
        "headings": headings,
        "matching": len(matching),
        "runs": sum(each.count for each in statements),
        "duration_ns": sum(each.duration_ns for each in statements),
        "costliest": max(statements, key=lambda each: each.duration_ns, default=None),
        "largest_share": max((each.share for each in matching), default=1.0),
        "rating": ratings.worst([*rated, "fair"] if repeated else rated),
        "slow_ms": visit.settings.slow_query_s * 1e3,
        "repeated": [_with_place(each) for each in repeated[:MOST_REPEATED]],
        "repeated_count": len(repeated),
        "partial": note,
        "chips": [(title, visit.here(show=key), key == shown) for key, title in _SHOWN.items()],
        "several_services": len({each.service for each in matching}) > 1,
        "is_filtered": bool(text) or shown != "all",
    }


def _statement(found: OperationStats, whole_ns: int, slow_s: float) -> Statement:
    return Statement(
        found.name,
        statement_key(found.name),
        brief(found.name),
        found.service,
        found.count,
        found.errors,
        found.duration_ns / max(found.count, 1),
        found.p50_ns,
        found.p95_ns,
        found.p99_ns,
        found.duration_ns,
        found.duration_ns / whole_ns,
        ratings.of_statement(found.p95_ns / 1e9, slow_s),
    )


def _is(statement: Statement, shown: str) -> bool:
    if shown == "slow":
        return statement.rating != "good"
    return shown == "all" or statement.errors > 0


def _with_place(found: RepeatedStatement) -> dict[str, Any]:
    code = found["code"]
    place = ""
    if code is not None:
        place = code["file"] if code["line"] is None else f"{code['file']}:{code['line']}"
    return {
        **found,
        "place": place,
        "brief": brief(found["statement"]) or found["summary"],
        "key": statement_key(found["statement"]),
        "each": found["queries"] / max(found["times"], 1),
        "duration_ns": found["total_ms"] * 1e6,
    }


def _one(
    visit: Visit, statements: list[Statement], repeated: list[RepeatedStatement]
) -> dict[str, Any]:
    key = visit.text("statement", 40)
    of_key = [each for each in statements if each.key == key]
    if not of_key:
        raise Missing("That statement isn't among those with most time in this range.")
    one = max(of_key, key=lambda each: each.duration_ns)
    query = traces_with(one.text)
    when = visit.range
    asked = TraceQuery(
        since_ns=when.since_ns, until_ns=when.until_ns, text=query.strip('"'), limit=CANDIDATES
    )
    found = visit.readers.traces.list_traces(asked) if query else TracePage(())
    return {
        "title": one.brief,
        "one": one,
        "of_services": of_key,
        "laid_out": laid_out(one.text),
        "repeated": [
            _with_place(each) for each in repeated if statement_key(each["statement"]) == key
        ],
        "traces": [trace for trace in found.traces if _ran(visit, trace, key)],
        "traces_query": query,
        "partial": found.partial,
        "slow_ms": visit.settings.slow_query_s * 1e3,
    }


def _ran(visit: Visit, trace: TraceSummary, key: str) -> bool:
    """Whether a trace with a statement's words has the statement; large ones aren't looked into."""
    if trace.span_count > MOST_SPANS:
        return False
    detail = visit.readers.traces.get_trace(trace.trace_id)
    spans = () if detail is None else detail.spans
    texts = {span.attributes.get(names.DB_QUERY_TEXT) for span in spans}
    return any(isinstance(text, str) and statement_key(text) == key for text in texts)
