"""Lists to take along: CSV for spreadsheets, OTLP JSON (a line a request) for a Collector,
log records as NDJSON.

A file has at most 10,000 rows, in the list's order; one of traces as OTLP at most 10,000 spans. Its
name says when there are more. It is sent while it is read.
"""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import StreamingHttpResponse

from otel_django.backends.embedded_session import one_connection
from otel_django.cli import csv_rows, otlp_json
from otel_django.viewer.log_json import log_json

if TYPE_CHECKING:
    from otel_django.contracts import (
        LogQuery,
        LogReader,
        LogRow,
        TraceQuery,
        TraceReader,
        TraceSummary,
    )
    from otel_django.viewer.visit import Visit

FORMS: Final = ("csv", "otlp")
LOG_FORMS: Final = (*FORMS, "ndjson")
MOST: Final = 10_000
TRACES_A_PAGE: Final = 500
TRACES_AT_ONCE: Final = 20
LOGS_A_PAGE: Final = 100
"""Few, as each may be large."""
_TYPES: Final = {
    "csv": "text/csv; charset=utf-8",
    "otlp": "application/x-ndjson",
    "ndjson": "application/x-ndjson",
}
_ENDINGS: Final = {"csv": "csv", "otlp": "jsonl", "ndjson": "ndjson"}


def of_traces(visit: Visit, query: TraceQuery, form: str) -> StreamingHttpResponse:
    """The traces that ``query`` asks for: a row each, or all their spans."""
    reader = visit.readers.traces
    found, is_cut = _traces(reader, query, lambda each: each.span_count if form == "otlp" else 1)
    if form == "otlp":
        return _file(visit, "traces", form, _spans(reader, found), is_cut=is_cut)
    lines = _csv("trace list", map(csv_rows.trace, found))
    return _file(visit, "traces", form, lines, is_cut=is_cut)


def of_logs(visit: Visit, query: LogQuery, form: str) -> StreamingHttpResponse:
    """The log records that ``query`` asks for; as ``ndjson`` a line each."""
    reader = visit.readers.logs
    # Read twice, as the name is sent first and ten thousand records may be large.
    *_, is_cut = (False, *(cut for _, cut in _logs(reader, query)))
    pages = (rows for rows, _ in _logs(reader, query))
    each = (row for rows in pages for row in rows)
    lines: Iterator[str]
    if form == "otlp":
        lines = (otlp_json.logs(rows) + "\n" for rows in pages if rows)
    elif form == "csv":
        lines = _csv("logs", map(csv_rows.log, each))
    else:
        lines = map(log_json, each)
    return _file(visit, "logs", form, lines, is_cut=is_cut)


def _traces(
    reader: TraceReader, query: TraceQuery, size: Callable[[TraceSummary], int]
) -> tuple[list[TraceSummary], bool]:
    """As many as fit, and whether there are more."""
    found: list[TraceSummary] = []
    room = MOST
    cursor: str | None = None
    while True:
        page = reader.list_traces(replace(query, limit=TRACES_A_PAGE, cursor=cursor))
        for trace in page.traces:
            room -= size(trace)
            if room < 0:
                return found, True
            found.append(trace)
        cursor = page.cursor
        if cursor is None:
            return found, bool(page.partial)


def _spans(reader: TraceReader, found: Sequence[TraceSummary]) -> Iterator[str]:
    for first in range(0, len(found), TRACES_AT_ONCE):
        with one_connection():
            some = [reader.get_trace(each.trace_id) for each in found[first:][:TRACES_AT_ONCE]]
        for detail in some:
            if detail is not None:
                yield otlp_json.traces(detail.spans) + "\n"


def _logs(reader: LogReader, query: LogQuery) -> Iterator[tuple[Sequence[LogRow], bool]]:
    """Pages, each with whether there are more records than fit."""
    room = MOST
    cursor: str | None = None
    while True:
        page = reader.list_logs(replace(query, limit=min(room, LOGS_A_PAGE), cursor=cursor))
        room -= len(page.rows)
        cursor = page.cursor
        yield page.rows, bool(page.partial or (cursor and not room))
        if cursor is None or not room:
            return


class _Line:
    """What a CSV writer writes to: it has the line back."""

    def write(self, text: str) -> str:
        return text


def _csv(columns: str, rows: Iterable[list[Any]]) -> Iterator[str]:
    writer = csv.writer(_Line())
    yield writer.writerow(csv_rows.COLUMNS[columns])
    for row in rows:
        yield writer.writerow(row)


def _file(
    visit: Visit, name: str, form: str, lines: Iterator[str], *, is_cut: bool
) -> StreamingHttpResponse:
    made = datetime.fromtimestamp(visit.now_ns // 10**9, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    part = "-incomplete" if is_cut else ""
    under_asgi = isinstance(visit.request, ASGIRequest)
    return StreamingHttpResponse(
        _asynchronous(lines) if under_asgi else lines,
        content_type=_TYPES[form],
        headers={
            "Content-Disposition": f'attachment; filename="{name}-{made}{part}.{_ENDINGS[form]}"'
        },
    )


async def _asynchronous(lines: Iterator[str]) -> AsyncIterator[str]:
    """Read in threads, so that the server's loop goes on."""
    read = sync_to_async(lambda: next(lines, None), thread_sensitive=False)
    while (line := await read()) is not None:
        yield line
