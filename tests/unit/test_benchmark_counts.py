"""The benchmark's sink must not overlook what a contestant failed to send."""

from __future__ import annotations

import gzip
import json

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from benchmarks.contestants import CONTRIB_SIGNALS, CONTRIB_TRACES, OWN_OFF, PROMETHEUS, shortfall
from benchmarks.sink import Received


def _otlp_body(spans: int) -> bytes:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    for number in range(spans):
        tracer = provider.get_tracer(f"scope {number % 3}")
        tracer.start_span("span", attributes={"number": number, "share": 0.5}).end()
    body: bytes = encode_spans(exporter.get_finished_spans()).SerializeToString()
    return body


def test_spans_of_all_scopes_and_requests_are_counted() -> None:
    received = Received()
    received.add("/one/v1/traces", "", _otlp_body(7))
    received.add("/one/v1/traces", "gzip", gzip.compress(_otlp_body(4)))
    received.add("/two/v1/traces", "", _otlp_body(1))
    assert received.counts() == {"one": {"traces": 11}, "two": {"traces": 1}}


def test_counting_twice_counts_once() -> None:
    received = Received()
    received.add("/one/v1/traces", "", _otlp_body(2))
    received.counts()
    assert received.counts() == {"one": {"traces": 2}}


def test_transactions_and_their_queries_are_counted_beside_other_items() -> None:
    transaction = json.dumps({"spans": [{"op": "db"}, {"op": "middleware.django"}]}).encode()
    head = json.dumps({"type": "transaction", "length": len(transaction)}).encode()
    envelope = b"{}\n" + head + b"\n" + transaction + b'\n{"type":"sessions"}\n{"count": 1}\n'
    received = Received()
    received.add("/sentry/api/1/envelope/", "", envelope)
    assert received.counts() == {"sentry": {"transactions": 1, "queries": 1, "sessions": 1}}


def test_a_contestant_that_sent_less_than_it_served_is_told() -> None:
    requests = {"trivial": 100, "queries": 10}
    assert shortfall(CONTRIB_TRACES, requests, {"traces": 210}, {}) is None
    assert shortfall(CONTRIB_TRACES, requests, {"traces": 209}, {}) == "209 traces of 210"
    assert shortfall(CONTRIB_TRACES, requests, {}, {}) == "0 traces of 210"


def test_sampled_out_means_that_nothing_arrives() -> None:
    assert shortfall(OWN_OFF, {"trivial": 100}, {}, {}) is None
    assert shortfall(OWN_OFF, {"trivial": 100}, {"traces": 1}, {}) == "1 traces of 0"


def test_signals_sent_at_an_interval_must_have_come_once() -> None:
    assert shortfall(CONTRIB_SIGNALS, {"trivial": 5}, {"traces": 5}, {}) == "no metrics"


def test_what_is_counted_inside_the_process_is_held_to_the_same() -> None:
    seen = {"requests": 5, "queries": 49}
    assert shortfall(PROMETHEUS, {"queries": 5}, {}, seen) == "49 queries of 50"
