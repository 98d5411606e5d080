"""Which statements take the time, which ones run over and over, and the lines that run them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypedDict

from otel_django import names
from otel_django.backends.embedded import EmbeddedReader
from otel_django.backends.embedded_logs import EmbeddedLogReader
from otel_django.contracts import LogQuery
from otel_django.health.report_json import timestamp
from otel_django.web import ratings
from otel_django.web.ratings import Rating  # noqa: TC001 - read for the schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otel_django.conf import Settings
    from otel_django.contracts import LogReader, LogRow, OperationStats

HOUR_NS: Final = 3_600_000_000_000
MOST_EVENTS: Final = 1000
MATTERS: Final = 0.05
"""Of the database's whole time: what takes less doesn't make the whole poor."""
NO_STORE: Final = (
    "There is no embedded store here: statements are in the traces, wherever these are sent."
)


class Statement(TypedDict):
    """A statement without its values; percentiles are within 13 % of the true ones."""

    service: str
    statement: str
    count: int
    errors: int
    total_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    rating: Rating


class CodeLine(TypedDict):
    """A line of the project."""

    file: str
    line: int | None
    function: str


class RepeatedStatement(TypedDict):
    """A statement that single requests or tasks (``times`` of them) ran ``queries`` times.

    ``trace_id`` is the last one's, empty where it has none.
    """

    statement: str
    summary: str
    route: str
    code: CodeLine | None
    times: int
    queries: int
    total_ms: float
    last_seen: str
    trace_id: str


class QueryPerformance(TypedDict):
    """``note`` says what is missing, if something is."""

    timestamp: str
    hours: int
    rating: Rating | None
    slowest: list[Statement]
    most_frequent: list[Statement]
    n_plus_one: list[RepeatedStatement]
    note: str


def query_performance(settings: Settings, hours: int, limit: int, now_ns: int) -> QueryPerformance:
    """The last ``hours``; at most ``limit`` of each list.

    Raises:
        ReadError: the store had no answer.
    """
    found: Sequence[OperationStats] = ()
    repeated: list[RepeatedStatement] = []
    note = NO_STORE
    if settings.store is not None:
        since_ns = now_ns - hours * HOUR_NS
        found = EmbeddedReader(settings.store).statements(since_ns, now_ns)
        reader = EmbeddedLogReader(settings.store)
        repeated, note = repeated_statements(reader, LogQuery(since_ns=since_ns))
    statements = [_statement(each, settings.slow_query_s) for each in found]
    return {
        "timestamp": timestamp(now_ns),
        "hours": hours,
        "rating": _whole(statements, repeated),
        "slowest": sorted(statements, key=lambda each: -each["p95_ms"])[:limit],
        "most_frequent": sorted(statements, key=lambda each: -each["count"])[:limit],
        "n_plus_one": repeated[:limit],
        "note": note,
    }


def _statement(found: OperationStats, slow_s: float) -> Statement:
    return {
        "service": found.service,
        "statement": found.name,
        "count": found.count,
        "errors": found.errors,
        "total_ms": _ms(found.duration_ns),
        "p50_ms": _ms(found.p50_ns),
        "p95_ms": _ms(found.p95_ns),
        "p99_ms": _ms(found.p99_ns),
        "rating": ratings.of_statement(found.p95_ns / 1e9, slow_s),
    }


def _whole(statements: Sequence[Statement], repeated: Sequence[Any]) -> Rating | None:
    total_ms = sum(each["total_ms"] for each in statements)
    found: list[Rating] = [
        each["rating"] for each in statements if each["total_ms"] >= MATTERS * total_ms
    ]
    return ratings.worst([*found, "fair"] if repeated else found)


def repeated_statements(reader: LogReader, query: LogQuery) -> tuple[list[RepeatedStatement], str]:
    """Those of the range and service of ``query``, the costliest first; what to say about them."""
    page = reader.list_logs(replace(query, event=names.QUERY_REPEATED, limit=MOST_EVENTS))
    note = page.partial
    if page.cursor is not None and not note:
        note = f"Repeated statements: only the newest {MOST_EVENTS:,} reports were looked at."
    found = _summed(page.rows)
    return sorted(found, key=lambda each: -each["total_ms"]), note


def _summed(rows: Iterable[LogRow]) -> list[RepeatedStatement]:
    """One for each statement, route and line; ``rows`` are newest first."""
    sums: dict[tuple[Any, ...], RepeatedStatement] = {}
    for row in rows:
        of = row.attributes
        code = _code(of)
        statement = str(of.get(names.DB_QUERY_TEXT, ""))
        route = str(of.get(names.HTTP_ROUTE, ""))
        key = (statement, route, *(code or {}).values())
        one = sums.get(key)
        if one is None:
            one = sums[key] = {
                "statement": statement,
                "summary": str(of.get(names.DB_QUERY_SUMMARY, "")),
                "route": route,
                "code": code,
                "times": 0,
                "queries": 0,
                "total_ms": 0.0,
                "last_seen": timestamp(row.time_ns),
                "trace_id": row.trace_id,
            }
        one["times"] += 1
        one["queries"] += int(of.get(names.N_PLUS_ONE_COUNT, 0))
        one["total_ms"] += round(1e3 * float(of.get(names.N_PLUS_ONE_DURATION, 0.0)), 3)
    return list(sums.values())


def _code(attributes: Any) -> CodeLine | None:
    """The line of code, or of the template."""
    file = attributes.get(names.CODE_FILE_PATH) or attributes.get(names.DJANGO_TEMPLATE_NAME)
    if not file:
        return None
    line = attributes.get(names.CODE_LINE_NUMBER) or attributes.get(names.DJANGO_TEMPLATE_LINE)
    return {
        "file": str(file),
        "line": None if line is None else int(line),
        "function": str(attributes.get(names.CODE_FUNCTION_NAME, "")),
    }


def _ms(duration_ns: int) -> float:
    return round(duration_ns / 1e6, 3)
