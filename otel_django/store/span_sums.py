"""What a batch of spans adds to the roll-ups: see ``roll_up_schema`` and ``call_schema``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from otel_django import names
from otel_django.store.calls import CLIENT, DATABASE, PRODUCER, called
from otel_django.store.error_rows import Errors, SeenExceptions, Sighting, origin_of
from otel_django.store.json_text import int64
from otel_django.store.sums import Sums

if TYPE_CHECKING:
    from otel_django.store.span_like import SpanLike
    from otel_django.store.texts import Texts

MAX_OPEN = 20_000
CALLS = (CLIENT, PRODUCER)
Queries = tuple[int, int]
"""Their number and time."""
NONE: Queries = (0, 0)


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
        return self._open.get(key, NONE)

    def update(self, ended: set[tuple[int, int]], more: dict[tuple[int, int], Queries]) -> None:
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
        self._ended: set[tuple[int, int]] = set()
        self.endpoints = Sums()
        self._calls: dict[tuple[int, int, int | None, int | None, int], list[int]] = {}
        self.edges = Sums()
        self.errors = Errors(texts, seen)
        self.callees: list[tuple[Any, ...]] = []
        self.sources: dict[int, tuple[int, int | None]] = {}

    def query(
        self,
        trace_id: int,
        key: tuple[int, int, int | None, int | None, int],
        failed: int,
        duration_ns: int,
    ) -> None:
        """A query or cache operation: the commonest span.

        ``key`` is minute, service, the texts' ids of statement and database, bucket.
        """
        calls = self._calls.get(key)
        if calls is None:
            self._calls[key] = [1, failed, duration_ns]
        else:
            calls[0] += 1
            calls[1] += failed
            calls[2] += duration_ns
        if key[2] is not None:
            of_trace = (trace_id, key[1])
            queries = self._queries.get(of_trace, NONE)
            self._queries[of_trace] = (queries[0] + 1, queries[1] + duration_ns)

    def statement_rows(self) -> list[list[int]]:
        """Of the statements there were."""
        sums = Sums()
        for (minute, service, statement, _, bucket), calls in self._calls.items():
            if statement is not None:
                sums.add((minute, service, statement, bucket), *calls)
        return sums.rows()

    def edge_rows(self) -> list[list[int]]:
        """Of all that was called; databases last."""
        for (minute, service, _, database, bucket), calls in self._calls.items():
            if database is not None:
                self.edges.add((minute, service, database, DATABASE, bucket), *calls)
        return self.edges.rows()

    def call(self, span: SpanLike, kind: int, call: Call) -> None:
        """A span that is no query; CLIENT and PRODUCER spans call something."""
        if kind not in CALLS:
            return
        target, what = called(span._attributes, kind)
        if target:
            call.add(self.edges, self._texts.id(target), what)

    def begun(self, trace_id: int, kind: int, name: int, route: int, call: Call) -> None:
        """A local root has ended, and what it asked for is its own."""
        key = (trace_id, call.service)
        earlier = NONE if key in self._ended else self._earlier.of(key)
        queries = _sum(earlier, self._queries.pop(key, NONE))
        self._ended.add(key)
        call.add(self.endpoints, kind, name, route, more=queries)

    def exceptions(self, index: int, span: SpanLike) -> None:
        """Those that a span's events tell of; ``index`` is the span's in its batch."""
        context: Any = span._context
        resource: Any = span._resource
        origin = origin_of(span._attributes) or span._name
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
