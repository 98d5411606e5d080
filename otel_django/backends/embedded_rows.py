"""Rows of the embedded store as what the reader contract returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from otel_django import names
from otel_django.contracts import OperationStats, SpanEvent, SpanLink, SpanRow, TraceSummary
from otel_django.store.json_text import loads
from otel_django.store.schema import bucket_middle_ns

KINDS: Final = ("internal", "server", "client", "producer", "consumer")
MAX_PARSED: Final = 500
STATUSES: Final = ("unset", "ok", "error")

# Columns of embedded_search.TRACE_COLUMNS.
TRACE_ID, START, END, DURATION, SPANS, ERRORS, QUERIES, QUERY_NS, RANK, ROOT_START = range(10)
NAME, ROUTE, SERVICE, METHOD, HTTP_STATUS, FAILED, N_PLUS_ONE = range(10, 17)
TEXT_COLUMNS: Final = (NAME, ROUTE, SERVICE)

SPAN_SQL: Final = """
    SELECT s.id, t.trace_id, s.span_id, s.parent_id, s.local_root, s.start_ns, s.duration_ns,
        s.kind, s.status, name.value, source.value, coalesce(s.data, shared.value)
    FROM span_{0} AS s
    JOIN trace_{0} AS t ON t.id = s.trace
    LEFT JOIN text_{0} AS name ON name.id = s.name
    LEFT JOIN text_{0} AS source ON source.id = s.source
    LEFT JOIN text_{0} AS shared ON shared.id = s.shared
"""

# Of a long trace: its texts are few, and read apart.
TRACE_SPANS_SQL: Final = """
    SELECT id, :trace_id, span_id, parent_id, local_root, start_ns, duration_ns, kind, status,
        name, source, shared, data
    FROM span_{0} WHERE trace = :trace ORDER BY id LIMIT :limit
"""
SPAN_NAME, SOURCE, SHARED, DATA = range(9, 13)
SPAN_TEXT_COLUMNS: Final = (SPAN_NAME, SOURCE, SHARED)


def best(parts: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Of one trace's rows in several slices the one with the best root."""
    return min(parts, key=lambda row: (-row[RANK], row[ROOT_START] or 0, row[START]))


def merged(parts: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    """The rows of one trace in several slices as one: the best root's columns, counts summed."""
    if len(parts) == 1:
        return parts[0]
    row = list(best(parts))
    row[START] = min(part[START] for part in parts)
    row[END] = max(part[END] for part in parts)
    if not row[RANK]:
        row[DURATION] = row[END] - row[START]
    for column in (SPANS, ERRORS, QUERIES, QUERY_NS):
        row[column] = sum(part[column] for part in parts)
    return tuple(row)


def summary(row: tuple[Any, ...], texts: Mapping[int, str]) -> TraceSummary:
    """A row of TRACE_COLUMNS."""
    return TraceSummary(
        trace_id=row[TRACE_ID],
        start_ns=row[START],
        duration_ns=row[DURATION],
        span_count=row[SPANS],
        error_count=row[ERRORS],
        query_count=row[QUERIES],
        query_ns=row[QUERY_NS],
        name=texts.get(row[NAME], ""),
        route=texts.get(row[ROUTE], ""),
        service=texts.get(row[SERVICE], ""),
        method=row[METHOD],
        http_status=row[HTTP_STATUS],
        failed=bool(row[FAILED]),
        n_plus_one=row[N_PLUS_ONE] or 0,
    )


def with_texts(row: tuple[Any, ...], texts: Mapping[int, str]) -> tuple[Any, ...]:
    """A row of TRACE_SPANS_SQL as one of SPAN_SQL."""
    data = row[DATA]
    if data is None:
        data = texts.get(row[SHARED])
    return (*row[:SPAN_NAME], texts.get(row[SPAN_NAME]), texts.get(row[SOURCE]), data)


class SpanRows:
    """Makes SpanRows; what many have in common is parsed once."""

    def __init__(self) -> None:
        self._sources: dict[str | None, tuple[Any, str, str]] = {}
        self._data: dict[str | None, tuple[Any, ...]] = {}

    def span(self, row: tuple[Any, ...]) -> SpanRow:
        """A row of SPAN_SQL."""
        _, trace_id, span_id, parent_id, local_root, start, duration, kind, status = row[:9]
        resource, service, scope = self._source(row[10])
        message, attributes, events, links, trace_state = self._told(row[11])
        return SpanRow(
            trace_id,
            _hex(span_id),
            None if parent_id is None else _hex(parent_id),
            bool(local_root),
            row[9] or "",
            KINDS[kind] if 0 <= kind < len(KINDS) else "internal",
            service,
            start,
            duration,
            STATUSES[status] if 0 <= status < len(STATUSES) else "unset",
            message,
            attributes,
            events,
            links,
            resource,
            scope,
            trace_state,
        )

    def _told(self, text: str | None) -> tuple[Any, ...]:
        """Message, attributes, events, links, trace state; of queries there are few different."""
        known = self._data.get(text)
        if known is None:
            data = loads(text) if text else {}
            known = (
                data.get("message", ""),
                data.get("attributes", {}),
                tuple(SpanEvent(**event) for event in data.get("events", ())),
                tuple(SpanLink(**link) for link in data.get("links", ())),
                data.get("trace_state", ""),
            )
            if len(self._data) < MAX_PARSED:
                self._data[text] = known
        return known

    def _source(self, text: str | None) -> tuple[Any, str, str]:
        """Resource, its service's name, scope."""
        known = self._sources.get(text)
        if known is None:
            source = loads(text) if text else {}
            resource = source.get("resource", {})
            service = str(resource.get(names.SERVICE_NAME, ""))
            known = self._sources[text] = (resource, service, source.get("scope", ""))
        return known


def _hex(span_id: int) -> str:
    return format(span_id & (1 << 64) - 1, "016x")


class Histogram:
    """One operation's durations."""

    def __init__(self) -> None:
        self.count = self.errors = self.duration_ns = self.queries = self.query_ns = 0
        self._buckets: dict[int, int] = {}

    def add(
        self,
        bucket: int,
        count: int,
        errors: int,
        duration_ns: int,
        queries: int = 0,
        query_ns: int = 0,
    ) -> None:
        """Add a row of a roll-up."""
        self.count += count
        self.errors += errors
        self.duration_ns += duration_ns
        self.queries += queries
        self.query_ns += query_ns
        self._buckets[bucket] = self._buckets.get(bucket, 0) + count

    def percentile_ns(self, share: float) -> int:
        """The duration that ``share`` of the calls didn't exceed, to within half a bucket."""
        wanted = share * self.count
        for bucket in sorted(self._buckets):
            wanted -= self._buckets[bucket]
            if wanted <= 0:
                return bucket_middle_ns(bucket)
        return 0

    def stats(self, service: str, name: str, route: str) -> OperationStats:
        """As the contract has it."""
        p50, p95, p99 = (self.percentile_ns(share) for share in (0.5, 0.95, 0.99))
        return OperationStats(
            service,
            name,
            route,
            self.count,
            self.errors,
            self.duration_ns,
            p50,
            p95,
            p99,
            self.queries,
            self.query_ns,
        )
