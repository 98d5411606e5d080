"""Spans stand being written by several threads, and stay small in number."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.trace import SpanContext, SpanKind, StatusCode, TraceFlags

from otel_django import conf
from otel_django.bootstrap import process
from otel_django.pipeline.otlp_trace import encode_request
from otel_django.store.span_text import words
from otel_django.tracing.local_trace import KeepPolicy, LocalTrace
from otel_django.tracing.span import Span
from tests.tracing_kit import Collected


@contextmanager
def switching_often() -> Iterator[None]:
    """Threads take turns every few microseconds, so that races show."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def run(*targets: Any) -> list[BaseException]:
    """Run each on a thread of its own; what they raised."""
    raised: list[BaseException] = []

    def guarded(target: Any) -> None:
        try:
            target()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=guarded, args=(target,)) for target in targets]
    with switching_often():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return raised


def test_nothing_is_lost_of_a_span_that_several_threads_write() -> None:
    collected = Collected()
    for _ in range(20):
        span = collected.tracer.start_span("x")

        def write(number: int, span: Any = span) -> None:
            for count in range(30):
                span.set_attribute(f"a.{number}.{count}", "text")
                span.add_event("e")
                span.add_link(SpanContext(5, 7, is_remote=True, trace_flags=TraceFlags(1)))
                span.set_attribute("", 1)

        raised = run(*(lambda number=number: write(number) for number in range(4)))
        span.end()
        assert raised == []
        ended = collected.spans.pop()
        assert len(ended.attributes or {}) == 120
        assert len(ended.events) == 120
        assert len(ended.links) == 120
        assert ended.dropped_attributes == 120


def test_spans_that_others_still_write_are_encoded_and_stored_whole() -> None:
    collected = Collected()
    spans = [collected.tracer.start_span(f"span {number}") for number in range(50)]
    failures: list[Exception] = []
    bodies: list[bytes] = []
    ended = threading.Event()

    def write() -> None:
        count = 0
        while not ended.is_set():
            count += 1
            for span in spans:
                span.set_attribute(f"k{count % 100}", "text")
                span.add_event("e", {"n": count})

    def edit() -> None:  # as a third party's exporter on a thread of its own
        while not ended.is_set():
            for span in spans:
                assert isinstance(span, Span)
                span._attributes["edited"] = "x"
                span._attributes.pop("edited", None)

    def read() -> None:
        try:
            for _ in range(40):
                body = encode_request(spans, failed=failures.append)  # type: ignore[arg-type]
                bodies.append(body)
        finally:
            ended.set()

    assert run(write, edit, read) == []
    assert failures == []
    for body in bodies:
        request = ExportTraceServiceRequest.FromString(body)
        assert len(request.resource_spans[0].scope_spans[0].spans) == 50


def test_words_and_json_of_a_span_that_is_still_edited() -> None:
    span = Collected().tracer.start_span("x", attributes={f"k{number}": "v" for number in range(9)})
    assert isinstance(span, Span)
    ended = threading.Event()

    def edit() -> None:
        while not ended.is_set():
            span._attributes["edited"] = "x"
            span._attributes.pop("edited", None)

    def read() -> None:
        try:
            for _ in range(3000):
                list(words(span))
        finally:
            ended.set()

    assert run(edit, read) == []


@contextmanager
def without_collector_of_cycles() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def alive() -> int:
    return sum(type(one) in {Span, LocalTrace} for one in gc.get_objects())


@pytest.mark.parametrize("sampler", ["always_on", "always_off", "traceidratio"])
def test_two_thousand_traces_leave_nothing_behind(sampler: str) -> None:
    keep = KeepPolicy(errors=True, slow=True, slow_s=1.0)
    collected = Collected(sampler, 0.5, keep)
    gc.collect()
    before = alive()
    with without_collector_of_cycles():
        for number in range(2_000):
            with collected.tracer.start_as_current_span("request") as root:
                assert isinstance(root, Span)
                collected.tracer.begin("query", SpanKind.CLIENT, {}, root).end()
                late = collected.tracer.start_span("late")
                if number % 100 == 0:
                    root.set_status(StatusCode.ERROR)
            late.end()
            collected.spans.clear()
        del root, late
        assert alive() <= before


def test_a_span_that_never_ends_holds_none_that_did() -> None:
    collected = Collected("always_on")
    forever = collected.tracer.start_span("serve forever")
    assert isinstance(forever, Span)
    gc.collect()
    before = alive()
    with without_collector_of_cycles():
        for _ in range(2_000):
            collected.tracer.begin("work", SpanKind.INTERNAL, {}, forever).end()
            collected.spans.clear()
        assert alive() <= before


REQUESTS = 500


def growth(requests: int) -> tuple[int, int]:
    """How many objects of ours and blocks of memory more there are after so many requests."""
    client = Client()
    for _ in range(300):
        client.get("/template/")
    gc.collect()
    spans, blocks = alive(), sys.getallocatedblocks()
    for _ in range(requests):
        client.get("/template/")
    gc.collect()
    return alive() - spans, sys.getallocatedblocks() - blocks


@pytest.mark.usefixtures("no_meter_provider")
def test_requests_of_a_site_leave_no_memory_behind(database: None) -> None:
    settings = replace(
        conf.from_django(), keep=frozenset({"errors", "slow"}), traces_sampler="always_off"
    )
    runtime = process.Runtime(settings, collect=lambda span: None)
    _, bare = growth(REQUESTS)  # older Djangos' own test client keeps something of each request
    runtime.install()
    try:
        spans, blocks = growth(REQUESTS)
    finally:
        runtime.uninstall()
    assert spans == 0
    assert blocks - bare < REQUESTS
