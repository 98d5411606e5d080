"""The contract of readers of traces, on a real Jaeger."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from otel_django.backends.jaeger import DEPTH, SETTLED_NS, JaegerReader
from otel_django.backends.jaeger_edges import JaegerEdgeReader
from otel_django.backends.remote import Remote
from otel_django.contracts import TraceQuery
from otel_django.tracing.span import Span
from tests.stack import reading_kit as kit
from tests.stack.stack_kit import Jaeger, ask, running
from tests.store_spans import MS, SpanSource
from tests.unit.test_trace_reader_contract import *  # noqa: F403 - the contract's own tests
from tests.unit.test_trace_reader_contract import HOUR_AGO, Backend, run_task


@pytest.fixture
def jaeger(tmp_path: Path) -> Iterator[Jaeger]:
    started = Jaeger(tmp_path)
    with running(started):
        yield started


@pytest.fixture  # type: ignore[no-redef]
def backend(jaeger: Jaeger) -> Backend:
    reader = JaegerReader(Remote("Jaeger", jaeger.url, timeout_s=kit.DEADLINE_S))

    def put(spans: list[Span]) -> None:
        kit.send_spans(jaeger.otlp_http_port, spans)
        for span in spans:
            kit.until(lambda: is_found(reader, span))  # noqa: B023 - called at once

    # Version 2.0 turns links into references without attributes, and lists into JSON.
    settled_s = SETTLED_NS / 10**9 + 0.1
    return Backend(put, reader, is_exact=False, settled_s=settled_s)


def is_found(reader: JaegerReader, span: Span) -> bool:
    trace = reader.get_trace(format(span._context[0], "032x"))
    ids = () if trace is None else [each.span_id for each in trace.spans]
    return format(span._context[1], "016x") in ids


def test_more_new_traces_than_a_search_looks_at_are_all_told_of(
    backend: Backend, source: SpanSource
) -> None:
    cursor = backend.reader.spans_since(None).cursor
    for _ in range(DEPTH + 20):
        source.request(queries=0)
    sent = source.take()
    backend.put(sent)
    time.sleep(backend.settled_s)
    assert len(backend.reader.spans_since(cursor).spans) == len(sent)


def test_calls_are_counted_in_the_traces(backend: Backend, source: SpanSource) -> None:
    request = source.request("/checkout/", start=HOUR_AGO)
    run_task(SpanSource("worker"), backend, request)
    backend.put(source.take())
    assert isinstance(backend.reader, JaegerReader)
    found = JaegerEdgeReader(backend.reader).edges(HOUR_AGO - 10**9, HOUR_AGO + 10**9)
    assert [(each.source, each.target, each.kind, each.count) for each in found.edges] == [
        ("shop", "postgresql shop", "database", 2),
        ("shop", "worker", "service", 1),
    ]
    assert found.edges[1].duration_ns == 8 * MS
    assert found.partial == ""


def test_what_one_answer_has_no_room_for_is_on_further_pages(
    backend: Backend, source: SpanSource, jaeger: Jaeger
) -> None:
    for number in range(60):
        source.request(start=HOUR_AGO + number * 10**9)
    backend.put(source.take())
    room = size_bytes(jaeger, traces=60) // 2
    reader = JaegerReader(Remote("Jaeger", jaeger.url, timeout_s=kit.DEADLINE_S, max_bytes=room))
    seen: list[str] = []
    page = reader.list_traces(TraceQuery(limit=50))
    seen += [trace.trace_id for trace in page.traces]
    while page.cursor is not None:
        page = reader.list_traces(TraceQuery(limit=50, cursor=page.cursor))
        seen += [trace.trace_id for trace in page.traces]
    assert len(seen) == len(set(seen)) == 60
    found = JaegerEdgeReader(reader).edges(HOUR_AGO - 10**9, HOUR_AGO + 100 * 10**9)
    assert "newest" in found.partial


def size_bytes(jaeger: Jaeger, traces: int) -> int:
    asked = {
        "query.service_name": "shop",
        "query.start_time_min": "2020-01-01T00:00:00Z",
        "query.start_time_max": "2040-01-01T00:00:00Z",
        "query.search_depth": traces,
    }
    return len(json.dumps(ask(f"{jaeger.url}/api/v3/traces?{urlencode(asked)}")))
