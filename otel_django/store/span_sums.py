"""What a batch of spans adds to the roll-ups: see ``roll_up_schema`` and ``call_schema``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from otel_django import names
from otel_django.store.calls import CLIENT, DATABASE, PRODUCER, called
from otel_django.store.error_rows import Errors, SeenExceptions, Sighting
from otel_django.store.json_text import int64
from otel_django.store.sums import Sums

if TYPE_CHECKING:
    from otel_django.store.texts import Texts
    from otel_django.tracing.span import Span

MAX_OPEN = 20_000
CALLS = (CLIENT, PRODUCER)
Queries = tuple[int, int]
"""Their number and time."""


class Call(NamedTuple):
    """A span as the roll-ups see it; ``service`` is a text's id, ``bucket`` its duration's."""

    minute: int
    service: int
    bucket: int
    failed: int
    duration_ns: int

    def add(self, sums: Sums, *key: int, more: Queries | tuple[()] = ()) -> None:
        """Count it; ``key`` is what stands between service and bucket."""
        whole = (self.minute, self.service, *key, self.bucket)
        sums.add(whole, 1, self.failed, self.duration_ns, *more)


class OpenQueries:
    """Queries of local roots that haven't ended yet, by trace and service; of earlier batches."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, int], Queries] = {}

    def of(self, key: tuple[int, int]) -> Queries:
        """Those there are."""
        return self._open.get(key, (0, 0))

    def update(self, ended: list[tuple[int, int]], more: dict[tuple[int, int], Queries]) -> None:
        """A batch is in the store."""
        if len(self._open) > MAX_OPEN:
            self._open.clear()
        for key in ended:
            self._open.pop(key, None)
        for key, queries in more.items():
            self._open[key] = _sum(self.of(key), queries)


class SpanSums:
    """Of one batch."""

    def __init__(self, texts: Texts, seen: SeenExceptions, queries: OpenQueries) -> None:
        self._texts = texts
        self._earlier = queries
        self._queries: dict[tuple[int, int], Queries] = {}
        self._ended: list[tuple[int, int]] = []
        self.endpoints = Sums()
        self.statements = Sums()
        self.edges = Sums()
        self.errors = Errors(texts, seen)
        self.callees: list[tuple[Any, ...]] = []
        self.sources: dict[int, tuple[int, int | None]] = {}

    def query(self, trace_id: int, call: Call, statement: int | None, database: int | None) -> None:
        """A query or cache operation, with the ids of its texts."""
        if statement is not None:
            call.add(self.statements, statement)
            key = (trace_id, call.service)
            one = (1, call.duration_ns)
            known = self._queries.get(key)
            self._queries[key] = one if known is None else _sum(known, one)
        if database is not None:
            call.add(self.edges, database, DATABASE)

    def call(self, span: Span, kind: int, call: Call) -> None:
        """A span that is no query; CLIENT and PRODUCER spans call something."""
        if kind not in CALLS:
            return
        target, what = called(span._attributes, kind)
        if target:
            call.add(self.edges, self._texts.id(target), what)

    def begun(self, trace_id: int, kind: int, name: int, route: int, call: Call) -> None:
        """A local root has ended, and what it asked for is its own."""
        key = (trace_id, call.service)
        queries = _sum(self._earlier.of(key), self._queries.pop(key, (0, 0)))
        self._ended.append(key)
        call.add(self.endpoints, kind, name, route, more=queries)

    def exceptions(self, index: int, span: Span) -> None:
        """Those that a span's events tell of; ``index`` is the span's in its batch."""
        context: Any = span._context
        resource: Any = span._resource
        origin = span._attributes.get(names.HTTP_ROUTE, span._name)
        for event in span._events:
            if event.name == names.EXCEPTION_EVENT:
                sighting = Sighting(int64(event.timestamp), context[0], None, index)
                self.errors.add(event._attributes or {}, resource.attributes, origin, sighting)

    def source_rows(self, first_ns: int, last_ns: int) -> list[tuple[Any, ...]]:
        """All were seen while the batch's spans ran."""
        return [(source, *more, first_ns, last_ns) for source, more in self.sources.items()]

    def written(self) -> None:
        """The batch is in the store."""
        self._earlier.update(self._ended, self._queries)


def callee(trace: str, parent_id: int, span_id: int, call: Call) -> tuple[Any, ...]:
    """The row of a local root that was called from elsewhere."""
    return (trace, parent_id, span_id, *call)


def _sum(one: Queries, other: Queries) -> Queries:
    return one[0] + other[0], one[1] + other[1]
