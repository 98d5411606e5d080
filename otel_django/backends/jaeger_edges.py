"""Who calls whom, counted in the newest traces that Jaeger has of a range.

Jaeger's own count of calls between services knows neither their time nor their failures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, cast

from otel_django.backends.embedded_rows import KINDS
from otel_django.roll_ups import Edge, EdgeAnswer
from otel_django.store.calls import CLIENT, DATABASE, HTTP, PRODUCER, called, database
from otel_django.store.roll_up_schema import EDGE_KINDS

if TYPE_CHECKING:
    from otel_django.backends.jaeger import JaegerReader
    from otel_django.contracts import SpanRow
    from otel_django.roll_ups import EdgeKind

MAX_EDGES: Final = 500
DEPTH: Final = 300
"""Traces of each service."""
ONLY_NEWEST: Final = (
    "calls are counted in the newest {:,} traces only, so there were more than it says: "
    "ask for a shorter range"
)
_SERVICE: Final = EDGE_KINDS.index("service")
_Key = tuple[str, str, int]


class JaegerEdgeReader:
    """An ``EdgeReader``."""

    def __init__(self, reader: JaegerReader) -> None:
        self._reader = reader

    def edges(self, since_ns: int, until_ns: int) -> EdgeAnswer:
        """The 500 with most calls, of the newest 300 traces of each service."""
        traces, is_all = self._reader.newest(since_ns, until_ns, DEPTH)
        found: dict[_Key, list[SpanRow]] = {}
        hosts: dict[str, set[str]] = {}
        for trace in traces:
            by_id = {span.span_id: span for span in trace}
            for span in trace:
                if not since_ns <= span.start_ns <= until_ns:
                    continue
                caller = by_id.get(span.parent_id or "")
                for key in _calls(span, caller):
                    found.setdefault(key, []).append(span)
                if caller is not None and (host := _host(span, caller)):
                    hosts.setdefault(host, set()).add(span.service)
        most = sorted(found.items(), key=lambda item: -len(item[1]))[:MAX_EDGES]
        single = {host: min(services) for host, services in hosts.items() if len(services) == 1}
        note = "" if is_all else ONLY_NEWEST.format(len(traces))
        return EdgeAnswer(tuple(_edge(*each) for each in most), note, single)


def _calls(span: SpanRow, caller: SpanRow | None) -> Iterator[_Key]:
    """What the span calls, and who called its service."""
    if span.local_root and caller is not None and caller.service != span.service:
        yield caller.service, span.service, _SERVICE
    target = database(span.attributes)
    if target:
        yield span.service, target, DATABASE
        return
    number = KINDS.index(span.kind)
    if number in (CLIENT, PRODUCER):
        target, kind = called(span.attributes, number)
        if target:
            yield span.service, target, kind


def _host(span: SpanRow, caller: SpanRow) -> str:
    """By which name a service was called over HTTP."""
    if span.kind != "server" or caller.kind != "client" or caller.service == span.service:
        return ""
    target, kind = called(caller.attributes, CLIENT)
    return target if kind == HTTP else ""


def _edge(key: _Key, spans: Sequence[SpanRow]) -> Edge:
    source, target, kind = key
    durations = sorted(span.duration_ns for span in spans)
    return Edge(
        source,
        target,
        cast("EdgeKind", EDGE_KINDS[kind]),
        len(spans),
        sum(span.status == "error" for span in spans),
        sum(durations),
        durations[math.ceil(0.95 * len(durations)) - 1],
    )
