"""Spans as the arguments of one ``schema.ingest`` statement."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from otel_django import names
from otel_django.store.calls import NOT_SQL, database
from otel_django.store.error_rows import SeenExceptions
from otel_django.store.json_text import INT64_MAX, dumps, int64
from otel_django.store.schema import bucket
from otel_django.store.span_sums import Call, OpenQueries, SpanSums, callee
from otel_django.store.span_text import data, has_more, trace_state, words
from otel_django.store.texts import Texts

if TYPE_CHECKING:
    from otel_django.store.span_like import SpanLike
    from otel_django.tracing.span_parts import SharedAttributes

YIELD_AFTER_S = 0.000_2
ROWS_A_PART = 16
MAX_CACHED_QUERIES = 4_000
MAX_SHARED_CHARACTERS = 4_096
MAX_FIND_CHARACTERS = 8_000
MINUTE_NS = 60_000_000_000
ERROR = 2
# On a busy machine a wall clock would count the time others run. Windows' is too coarse.
work_s = time.perf_counter if sys.platform == "win32" else time.thread_time


class Rows(NamedTuple):
    """The arguments of one ingest statement: JSON arrays, and the number of spans."""

    texts: str
    traces: str
    spans: str
    span_count: int
    finds: str
    endpoints: str
    statements: str
    edges: str
    sources: str
    callees: str
    errors: str | None


class _Query(NamedTuple):
    """What many spans of queries and cache operations have alike, stored once."""

    shared: int | None
    words: str
    statement: int | None
    target: int | None


class _Told(NamedTuple):
    """The texts of a query, for slices that don't have them yet."""

    shared: str
    statement: str
    target: str


class _Source(NamedTuple):
    """Who made a span; the objects are kept so that their ids stay theirs."""

    resource: object
    scope: object
    text: str
    service: str
    version: str


class _Root(NamedTuple):
    duration_ns: int
    rank: int
    start_ns: int
    name: int
    route: int
    service: int
    method: str | None
    http_status: int | None
    failed: bool
    n_plus_one: int | None


_NO_ROOT: tuple[int | None, ...] = (0, None, None, None, None, None, None, None, None)


class _Trace:
    """What a batch adds to one trace."""

    __slots__ = (
        "ends",
        "errors",
        "first",
        "id",
        "queries",
        "query_ns",
        "root",
        "starts",
        "words",
    )

    def __init__(self, trace_id: int, first: int) -> None:
        self.id = format(trace_id, "032x")
        self.first = first
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.errors = self.queries = self.query_ns = 0
        self.root: _Root | None = None
        self.words: dict[str, None] = {}

    def row(self) -> list[Any]:
        start, end = min(self.starts), max(self.ends)
        counts = (len(self.starts), self.errors, self.queries, self.query_ns)
        if self.root is None:
            return [self.id, start, end, end - start, *counts, *_NO_ROOT]
        return [self.id, start, end, self.root[0], *counts, *self.root[1:]]


class Packer:
    """Turns batches into rows; remembers which texts the current slice has already.

    One thread at a time. ``pause`` is called at least every 0.25 ms of ordinary work.
    """

    def __init__(self, pause: Callable[[], None], seen: SeenExceptions | None = None) -> None:
        self._pause = pause
        self._seen = seen or SeenExceptions()
        self._texts = Texts()
        self._text = self._texts.id
        self._queries: dict[tuple[SharedAttributes | None, str, str], tuple[_Query, _Told]] = {}
        self._sources: dict[tuple[int, int], _Source] = {}
        self._resource: object = None
        self._scope: object = None
        self._source_ids = (0, 0)
        self._open = OpenQueries()
        self._sums: SpanSums | None = None
        self._traces: dict[int, _Trace] = {}

    def new_slice(self) -> None:
        """The texts have to be written again."""
        self._texts.new_slice()

    def written(self) -> None:
        """The last ``pack`` is in the store."""
        self._texts.written()
        self._seen.keep()
        if self._sums is not None:
            self._sums.written()
            self._sums = None

    def pack(self, spans: Sequence[SpanLike]) -> Rows:
        """The rows of a batch."""
        self._texts.begin()
        self._forget()
        self._resource = self._scope = None
        sums = self._sums = SpanSums(self._texts, self._seen, self._open)
        self._traces = {}
        rows: list[tuple[Any, ...]] = []
        parts: list[str] = []
        looked_at = work_s()
        for index, span in enumerate(spans):
            rows.append(self._span(index, span, sums))
            if len(rows) == ROWS_A_PART:
                parts.append(dumps(rows)[1:-1])
                rows.clear()
                if work_s() - looked_at > YIELD_AFTER_S:
                    self._pause()
                    looked_at = work_s()
        if rows:
            parts.append(dumps(rows)[1:-1])
        traces = self._traces.values()
        first = min((min(trace.starts) for trace in traces), default=0)
        last = max((max(trace.ends) for trace in traces), default=0)
        errors = sums.errors.rows()
        return Rows(
            self._texts.rows(),
            dumps([trace.row() for trace in traces]),
            f"[{','.join(parts)}]",
            len(spans),
            dumps([[trace.first, " ".join(trace.words)[:MAX_FIND_CHARACTERS]] for trace in traces]),
            dumps(sums.endpoints.rows()),
            dumps(sums.statement_rows()),
            dumps(sums.edge_rows()),
            dumps(sums.source_rows(first, last)),
            dumps(sums.callees),
            errors,
        )

    def _forget(self) -> None:
        """Keep the memory bounded; what is forgotten is found out again."""
        if len(self._queries) > MAX_CACHED_QUERIES:
            self._queries.clear()
        if len(self._sources) > MAX_CACHED_QUERIES:
            self._sources.clear()

    def _span(self, index: int, span: SpanLike, sums: SpanSums) -> tuple[Any, ...]:
        context: Any = span._context
        parent: Any = span._parent
        start: Any = span._start_time
        end: Any = span._end_time
        if not 0 <= start <= end <= INT64_MAX:
            start, end = _sane(start, end)
        duration = end - start
        status = span._status.status_code.value
        if span._resource is not self._resource or span._instrumentation_scope is not self._scope:
            self._source_ids = self._find_source(span, sums)
        source, service = self._source_ids
        name = self._text(span._name)
        failed = 1 if status == ERROR else 0
        trace = self._traces.get(context[0]) or self._new_trace(context[0], index)
        trace.starts.append(start)
        trace.ends.append(end)
        trace.words[span._name] = None
        trace.errors += failed
        kind = span._kind.value
        minute = start // MINUTE_NS
        query = self._query(span)
        if query is not None:
            key = (minute, service, query.statement, query.target, bucket(duration))
            sums.query(context[0], key, failed, duration)
            if query.statement is not None:
                trace.queries += 1
                trace.query_ns += duration
        else:
            sums.call(span, kind, Call(minute, service, bucket(duration), failed, duration))
        local_root = parent is None or parent[2]
        if local_root:
            call = Call(minute, service, bucket(duration), failed, duration)
            route = self._take_root(trace, self._root(span, start, duration, name, service))
            sums.begun(context[0], kind, name, route, call)
            if parent is not None:
                sums.callees.append(callee(trace.id, signed(parent[1]), signed(context[1]), call))
        if span._events:
            sums.exceptions(index, span)
        shared = None if query is None or has_more(span) else query.shared
        if shared is None:
            trace.words.update(dict.fromkeys(words(span)))
        elif query is not None:
            trace.words[query.words] = None
        return (
            trace.id,
            signed(context[1]),
            None if parent is None else signed(parent[1]),
            1 if local_root else 0,
            start,
            duration,
            kind,
            status,
            name,
            source,
            shared,
            data(span) if shared is None else None,
        )

    def _new_trace(self, trace_id: int, index: int) -> _Trace:
        trace = self._traces[trace_id] = _Trace(trace_id, index)
        return trace

    def _take_root(self, trace: _Trace, root: _Root) -> int:
        """Keep the trace's best root; the route of this one."""
        if trace.root is None or (root.rank, -root.start_ns) > (
            trace.root.rank,
            -trace.root.start_ns,
        ):
            trace.root = root
        return root.route

    def _find_source(self, span: SpanLike, sums: SpanSums) -> tuple[int, int]:
        """Ids of resource and scope together, and of the service's name."""
        resource: Any = span._resource
        scope: Any = span._instrumentation_scope
        key = (id(resource), id(scope))
        known = self._sources.get(key)
        if known is None:
            attributes = dict(resource.attributes)
            described = {"resource": attributes, "scope": scope.name, "version": scope.version}
            service = str(attributes.get(names.SERVICE_NAME, ""))
            version = str(attributes.get(names.SERVICE_VERSION, ""))
            known = _Source(resource, scope, dumps(described), service, version)
            if len(known.text) <= MAX_SHARED_CHARACTERS:
                self._sources[key] = known
        self._resource, self._scope = resource, scope
        source, service_id = self._text(known.text), self._text(known.service)
        sums.sources[source] = (service_id, self._text(known.version) if known.version else None)
        return source, service_id

    def _query(self, span: SpanLike) -> _Query | None:
        """Queries and cache operations have few different sets of attributes."""
        shared = span._shared
        telling = span._own if shared is None else shared.values
        if names.DB_SYSTEM_NAME not in telling and names.DJANGO_CACHE_ALIAS not in telling:
            return None
        key = (shared, dumps(span._own), trace_state(span))
        known = self._queries.get(key)
        if known is None:
            attributes = span._attributes
            statement = attributes.get(names.DB_QUERY_TEXT)
            if not isinstance(statement, str) or attributes.get(names.DB_SYSTEM_NAME) in NOT_SQL:
                statement = ""
            text = dumps({"attributes": attributes, **({"trace_state": key[2]} if key[2] else {})})
            told = _Told(text, statement, database(attributes))
            if len(text) > MAX_SHARED_CHARACTERS:
                return _Query(None, "", self._maybe(statement), self._maybe(told.target))
            query = _Query(
                self._text(text),
                " ".join(words(span)),
                self._maybe(statement),
                self._maybe(told.target),
            )
            self._queries[key] = (query, told)
            return query
        query, told = known
        if not self._texts.has(query.shared):
            for text in told:
                self._maybe(text)
        return query

    def _maybe(self, text: str) -> int | None:
        return self._text(text) if text else None

    def _root(self, span: SpanLike, start: int, duration: int, name: int, service: int) -> _Root:
        attributes = span._attributes
        route = attributes.get(names.HTTP_ROUTE)
        method = attributes.get(names.HTTP_REQUEST_METHOD)
        http_status = attributes.get(names.HTTP_RESPONSE_STATUS_CODE)
        return _Root(
            duration,
            2 if span._parent is None else 1,
            start,
            name,
            self._text(route) if isinstance(route, str) and route else name,
            service,
            method if isinstance(method, str) else None,
            http_status if isinstance(http_status, int) and 0 < http_status < 1000 else None,
            span._status.status_code.value == ERROR,
            _n_plus_one(span),
        )


def _sane(start: int, end: int) -> tuple[int, int]:
    start = int64(start)
    return start, max(int64(end), start)


def signed(span_id: int) -> int:
    """An unsigned 64-bit integer as SQLite has it."""
    return span_id - (1 << 64) if span_id >> 63 else span_id


def _n_plus_one(span: SpanLike) -> int | None:
    count = span._attributes.get(names.N_PLUS_ONE_COUNT)
    return count if isinstance(count, int) and 0 < count < 1 << 31 else None
