"""Reads the embedded store: read-only, each answer bounded in time and rows.

A read sees one moment of the file: its transaction begins with the list of slices, so nothing
vanishes below it while other processes write and drop. Connections live as long as one answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_django.backends import embedded_rows as rows
from otel_django.backends import embedded_search as search
from otel_django.backends.embedded_arrivals import arrived, cursor_at
from otel_django.backends.embedded_roll_ups import MINUTE_NS, sums, texts
from otel_django.backends.embedded_session import Session, StoreReader
from otel_django.contracts import (
    OperationStats,
    SpanPage,
    TraceDetail,
    TracePage,
    TraceQuery,
    TraceSummary,
)
from otel_django.errors import UnknownPlaceError
from otel_django.store.json_text import dumps
from otel_django.store.roll_up_schema import ENDPOINT, STATEMENT
from otel_django.store.schema import WITH_ROLL_UPS

if TYPE_CHECKING:
    from otel_django.store.roll_up_schema import RollUp

FINISH_S: Final = 0.5
MAX_PAGE: Final = 500
MAX_SPANS: Final = 20_000
MAX_OPERATIONS: Final = 500
LATE: Final = "time was up: older traces may be missing; ask for a shorter range"


class EmbeddedReader(StoreReader):
    """A ``TraceReader`` and ``OperationReader`` of the store at ``path``; cheap to make.

    Where there is no file yet, there is nothing to read: answers are empty.
    """

    # --- TraceReader

    def list_traces(self, query: TraceQuery) -> TracePage:
        """One page; at most 500 traces."""
        limit = max(1, min(query.limit, MAX_PAGE))
        after = _parse_trace_cursor(query.cursor)
        order = rows.DURATION if query.slowest_first else rows.START
        found: list[tuple[Any, ...]] = []
        note = ""
        with self._session() as read:
            try:
                for part in read.slices:
                    if len(found) > limit and not query.slowest_first:
                        found = _sorted(found, order)[: limit + 1]
                        if search.newest_start(read, part) < found[-1][rows.START]:
                            continue
                    more = search.find(read, part, query, after, limit + 1)
                    found += more.rows
                    note = note or more.note
            except TimeoutError:
                if not found:
                    raise
                note = LATE
            read.extend(FINISH_S)
            found = _sorted(found, order)
            page, rest = found[:limit], found[limit:]
            traces = _whole_traces(read, page)
        last = page[-1] if rest else None
        cursor = None if last is None else f"{last[order]}:{last[rows.TRACE_ID]}"
        return TracePage(tuple(traces), cursor, note)

    def get_trace(self, trace_id: str) -> TraceDetail | None:
        """All spans of a trace, 20,000 at most."""
        found: list[tuple[Any, ...]] = []
        total = 0
        with self._session() as read:
            for part in read.slices:
                there = read.run(
                    f"SELECT id, spans FROM trace_{part.id} WHERE trace_id = ?", (trace_id.lower(),)
                )
                for number, spans in there:
                    total += spans
                    found += read.run(
                        rows.TRACE_SPANS_SQL.format(part.id),
                        {
                            "trace": number,
                            "trace_id": trace_id.lower(),
                            "limit": MAX_SPANS - len(found),
                        },
                    )
            named = texts(read, {row[column] for row in found for column in rows.SPAN_TEXT_COLUMNS})
        if not total:
            return None
        make = rows.SpanRows().span
        made = (make(rows.with_texts(row, named)) for row in found)
        spans = {span.span_id: span for span in made}
        note = f"the first {len(found):,} of {total:,} spans" if len(found) < total else ""
        ordered = sorted(spans.values(), key=lambda span: span.start_ns)
        return TraceDetail(trace_id.lower(), tuple(ordered), note)

    def spans_since(self, cursor: str | None, limit: int = 2000) -> SpanPage:
        """What was written after ``cursor``; after a new store has begun, from its start."""
        make = rows.SpanRows().span
        with self._session() as read:
            parts = [part.id for part in read.slices]
            found, end = arrived(read, parts, "span", rows.SPAN_SQL, cursor, limit)
        return SpanPage(tuple(make(row) for _, more in found for row in more), end)

    def cursor_at(self, since_ns: int) -> str:
        """For ``spans_since``: before all spans that began since a time."""
        with self._session() as read:
            return cursor_at(read.slices, since_ns)

    def services(self) -> tuple[str, ...]:
        """Services of which anything is in the store, by name."""
        found: set[int] = set()
        with self._session() as read:
            try:
                for part in read.slices:
                    table = "source" if part.version >= WITH_ROLL_UPS else "endpoint"
                    services = read.run(f"SELECT DISTINCT service FROM {table}_{part.id}")
                    found.update(number for (number,) in services)
            except TimeoutError:
                if not found:
                    raise
                read.extend(FINISH_S)
            named = texts(read, found)
        return tuple(sorted(named.values()))

    # --- OperationReader

    def endpoints(self, since_ns: int, until_ns: int) -> tuple[OperationStats, ...]:
        """Requests, tasks and the like by service and name; the 500 with most time spent."""
        return self._operations(ENDPOINT, ("service", "name", "route"), since_ns, until_ns)

    def statements(self, since_ns: int, until_ns: int) -> tuple[OperationStats, ...]:
        """Database statements; the 500 with most time spent."""
        return self._operations(STATEMENT, ("service", "statement"), since_ns, until_ns)

    def _operations(
        self, table: RollUp, key: tuple[str, ...], since_ns: int, until_ns: int
    ) -> tuple[OperationStats, ...]:
        found: dict[tuple[int, ...], rows.Histogram] = {}
        columns = ", ".join((*key, "bucket"))
        width = len(key)
        minutes = (since_ns // MINUTE_NS, until_ns // MINUTE_NS)
        with self._session() as read:
            for part in read.slices:
                for row in sums(read, part, table, columns, minutes):
                    found.setdefault(row[:width], rows.Histogram()).add(*row[width:])
            most = sorted(found, key=lambda ids: -found[ids].duration_ns)[:MAX_OPERATIONS]
            named = texts(read, {number for ids in most for number in ids})
        told = ((*(named.get(number, "") for number in ids), "")[:3] for ids in most)
        return tuple(found[ids].stats(*name) for ids, name in zip(most, told, strict=True))


def _sorted(found: list[tuple[Any, ...]], column: int) -> list[tuple[Any, ...]]:
    """Largest first."""
    return sorted(found, key=lambda row: (row[column], row[rows.TRACE_ID]), reverse=True)


def _whole_traces(read: Session, page: list[tuple[Any, ...]]) -> list[TraceSummary]:
    """The page with what other slices have of its traces; each trace once, where its root is."""
    parts: dict[str, list[tuple[Any, ...]]] = {row[rows.TRACE_ID]: [] for row in page}
    wanted = dumps(list(parts))
    for part in read.slices:
        for row in read.run(
            f"SELECT {search.TRACE_COLUMNS} FROM trace_{part.id} "
            "WHERE trace_id IN (SELECT value FROM json_each(?))",
            (wanted,),
        ):
            parts[row[rows.TRACE_ID]].append(row)
    kept = []
    for row in page:
        pieces = parts[row[rows.TRACE_ID]]
        if row == rows.best(pieces):
            kept.append(rows.merged(pieces))
    named = texts(read, {row[column] for row in kept for column in rows.TEXT_COLUMNS})
    return [rows.summary(row, named) for row in kept]


def _parse_trace_cursor(cursor: str | None) -> tuple[int, str] | None:
    if cursor is None:
        return None
    place, _, trace_id = cursor.partition(":")
    if not place.isdecimal() or len(place) > 19 or int(place) >= 2**63:
        raise UnknownPlaceError("not a cursor of this reader")
    return int(place), trace_id
