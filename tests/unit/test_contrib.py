"""Code written for the OpenTelemetry API and SDK, and contrib's instrumentors, work unchanged.

Outgoing calls go over real sockets to a real server: this site, served by wsgiref on loopback.
Instrumentors that aren't installed beside the newest release are left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
import importlib.util
import json
import pickle
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import httpx
import pytest
import requests
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import Client, override_settings
from django.urls import path
from opentelemetry import baggage, context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import inject
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from otel_django import names
from otel_django.testing import Captured, capture
from otel_django.tracing.provider import TracerProvider
from otel_django.tracing.span import Span
from otel_django.version import VERSION
from tests.stub_collector import StubCollector
from tests.tracing_kit import Collected

early_tracer = trace.get_tracer(__name__)
"""Taken before anything is set up, as modules do."""

callee_url = ""


# --- the site that calls itself


def callee(request: HttpRequest) -> JsonResponse:
    """What arrived."""
    return JsonResponse(
        {"traceparent": request.headers.get("traceparent"), "baggage": dict(baggage.get_all())}
    )


def passed_on(answer: bytes) -> HttpResponse:
    return HttpResponse(answer, content_type="application/json")


def with_requests(request: HttpRequest) -> HttpResponse:
    return passed_on(requests.get(callee_url, timeout=10).content)


def with_httpx(request: HttpRequest) -> HttpResponse:
    return passed_on(httpx.get(callee_url, trust_env=False).content)


async def with_async_httpx(request: HttpRequest) -> HttpResponse:
    async with httpx.AsyncClient(trust_env=False) as client:
        return passed_on((await client.get(callee_url)).content)


def with_urllib(request: HttpRequest) -> HttpResponse:
    with urllib.request.urlopen(callee_url, timeout=10) as answer:
        return passed_on(answer.read())


def with_propagator(request: HttpRequest) -> HttpResponse:
    headers: dict[str, str] = {}
    inject(headers)
    return JsonResponse(headers)


urlpatterns = [
    path("callee/", callee),
    path("requests/", with_requests),
    path("httpx/", with_httpx),
    path("async-httpx/", with_async_httpx),
    path("urllib/", with_urllib),
    path("urllib3/", with_requests),
    path("propagator/", with_propagator),
]


class Silent(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def site() -> Iterator[Client]:
    """This module's site, as a client in the process and served on a socket."""
    global callee_url
    with override_settings(ROOT_URLCONF=__name__):
        server = make_server("127.0.0.1", 0, WSGIHandler(), handler_class=Silent)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        callee_url = f"http://127.0.0.1:{server.server_port}/callee/?token=s3cret"
        try:
            yield Client()
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def installed(*cases: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """The cases whose instrumentor (named last but one) there is beside the newest release."""
    return [
        case
        for case in cases
        if importlib.util.find_spec(f"opentelemetry.instrumentation.{case[-2]}") is not None
    ]


@contextlib.contextmanager
def instrumented(name: str, cls: str) -> Iterator[None]:
    module = importlib.import_module(f"opentelemetry.instrumentation.{name}")
    instrumentor = getattr(module, cls)()
    instrumentor.instrument()
    try:
        yield
    finally:
        instrumentor.uninstrument()


# --- instrumentors


@pytest.mark.parametrize(
    ("view", "name", "cls"),
    installed(
        ("requests", "requests", "RequestsInstrumentor"),
        ("httpx", "httpx", "HTTPXClientInstrumentor"),
        ("async-httpx", "httpx", "HTTPXClientInstrumentor"),
        ("urllib", "urllib", "URLLibInstrumentor"),
        ("urllib3", "urllib3", "URLLib3Instrumentor"),
    ),
)
def test_an_outgoing_call_is_a_child_and_its_trace_goes_on_at_the_callee(
    site: Client, view: str, name: str, cls: str
) -> None:
    with instrumented(name, cls), capture() as captured:
        answer = site.get(f"/{view}/").json()
        wait_for(captured, "GET /callee/")
    caller = captured.one(f"GET /{view}/")
    (client,) = caller.children
    assert client.kind == "CLIENT"
    assert client.parent_span_id == caller.span_id
    (server,) = client.children
    assert (server.name, server.kind) == ("GET /callee/", "SERVER")
    assert {caller.trace_id, client.trace_id, server.trace_id} == {caller.trace_id}
    assert answer["traceparent"] == f"00-{caller.trace_id}-{client.span_id}-03"
    assert "s3cret" not in str(captured.spans)


def wait_for(captured: Captured, name: str) -> None:
    """A server closes a response, and ends its span, after the caller has read it."""
    deadline = time.monotonic() + 5
    while not captured.find(name) and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.mark.parametrize("inbound", ["", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"])
def test_a_trace_that_is_not_sampled_stays_so_at_the_callee(site: Client, inbound: str) -> None:
    headers = {"traceparent": inbound} if inbound else {}
    with (
        instrumented("requests", "RequestsInstrumentor"),
        capture() as captured,
        nothing_sampled(),
    ):
        arrived = site.get("/requests/", headers=headers).json()["traceparent"]
    assert captured.spans == []
    assert arrived.endswith("-00" if inbound else "-02")
    if inbound:
        assert arrived[:35] == inbound[:35]


@contextlib.contextmanager
def nothing_sampled() -> Iterator[None]:
    """Requests of the capturing runtime that begin a trace aren't sampled."""
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    tracer = provider.tracer(names.SCOPE, VERSION)
    other = Collected("parentbased_always_off").tracer
    mine = (tracer._head, tracer._root_head)
    tracer._head, tracer._root_head = other._head, other._root_head
    try:
        yield
    finally:
        tracer._head, tracer._root_head = mine


def record_in_a_thread() -> None:
    thread = threading.Thread(target=lambda: early_tracer.start_span("inside").end())
    thread.start()
    thread.join()


def record_in_a_task() -> None:
    async def work() -> None:
        early_tracer.start_span("inside").end()

    async def main() -> None:
        await asyncio.create_task(work())

    asyncio.run(main())


def record_a_call() -> None:
    with httpx.Client() as client, contextlib.suppress(httpx.HTTPError):
        client.get("http://127.0.0.1:9/")


@pytest.mark.parametrize(
    ("record", "name", "cls"),
    installed(
        (record_a_call, "httpx", "HTTPXClientInstrumentor"),
        (record_in_a_thread, "threading", "ThreadingInstrumentor"),
        (record_in_a_task, "asyncio", "AsyncioInstrumentor"),
    ),
)
def test_what_an_instrumentor_records_is_below_the_current_span(
    record: Callable[[], None], name: str, cls: str
) -> None:
    with (
        instrumented(name, cls),
        capture() as captured,
        early_tracer.start_as_current_span("request"),
    ):
        record()
    assert len(list(captured.one("request").walk())) == 2


@pytest.mark.parametrize("name", ["db.query.text", "db.statement"])
def test_a_statement_that_another_instrumentor_tells_has_no_values(name: str) -> None:
    with capture() as captured, early_tracer.start_as_current_span("SELECT") as span:
        span.set_attribute(name, "SELECT name FROM shop WHERE owner = 'Ann' AND age > $1 -- Bob")
    assert captured.one("SELECT").attributes == {
        name: "SELECT name FROM shop WHERE owner = ? AND age > ?  "
    }


# --- the API


def test_baggage_reaches_the_callee(site: Client) -> None:
    token = context.attach(baggage.set_baggage("tenant", "a b"))
    try:
        with instrumented("requests", "RequestsInstrumentor"), capture():
            assert site.get("/requests/").json()["baggage"] == {"tenant": "a b"}
    finally:
        context.detach(token)


def test_inject_in_a_view_names_the_request(site: Client) -> None:
    with capture() as captured:
        headers = site.get("/propagator/").json()
    span = captured.one("GET /propagator/")
    assert headers["traceparent"] == f"00-{span.trace_id}-{span.span_id}-03"


def test_a_tracer_taken_at_import_records() -> None:
    with capture() as captured, early_tracer.start_as_current_span("early") as span:
        assert isinstance(span, Span)
    assert captured.one("early").attributes == {}


def test_a_remote_parent_put_in_the_context_is_followed() -> None:
    collected = Collected()
    remote = SpanContext(5, 7, is_remote=True, trace_flags=TraceFlags(1))
    for flags, recorded in ((1, True), (0, False)):
        parent = SpanContext(5, 7, is_remote=True, trace_flags=TraceFlags(flags))
        within = set_span_in_context(NonRecordingSpan(parent))
        span = collected.tracer.start_span("x", context=within, links=[Link(remote)])
        assert span.is_recording() is recorded
        assert span.get_span_context().trace_id == 5
        span.end()
    assert collected.only().parent == remote


@pytest.mark.parametrize("end_on_exit", [True, False])
def test_use_span_ends_or_leaves_it(end_on_exit: bool) -> None:
    collected = Collected()
    span = collected.tracer.start_span("x")

    def fail() -> None:
        with trace.use_span(span, end_on_exit=end_on_exit):
            assert trace.get_current_span() is span
            raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        fail()
    assert span.is_recording() is not end_on_exit
    span.end()
    ended = collected.only()
    assert ended.status.status_code is StatusCode.ERROR
    assert [event.name for event in ended.events] == ["exception"]


def test_an_async_generators_span_covers_all_it_yields() -> None:
    collected = Collected()
    tracer = collected.tracer

    async def numbers() -> AsyncIterator[int]:
        with tracer.start_as_current_span("numbers"):
            for number in range(3):
                with tracer.start_as_current_span("number"):
                    await asyncio.sleep(0)
                yield number

    async def main() -> list[int]:
        return [number async for number in numbers()]

    assert asyncio.run(main()) == [0, 1, 2]
    *inner, outer = collected.spans
    assert [span.parent for span in inner] == [outer.context] * 3


def test_each_task_has_its_own_current_span_and_its_own_failure() -> None:
    collected = Collected()
    tracer = collected.tracer

    async def work(number: int) -> None:
        with tracer.start_as_current_span(f"work {number}"):
            await asyncio.sleep(0.001 * number)
            if number == 1:
                raise ValueError("one")

    async def main() -> None:
        with tracer.start_as_current_span("request"):
            await asyncio.gather(*(work(number) for number in range(3)), return_exceptions=True)

    asyncio.run(main())
    *works, request = collected.spans
    assert [span.parent for span in works] == [request.context] * 3
    failed = {span.name: span.status.status_code is StatusCode.ERROR for span in works}
    assert failed == {"work 0": False, "work 1": True, "work 2": False}
    assert request.status.status_code is StatusCode.UNSET


@pytest.mark.skipif(not hasattr(asyncio, "TaskGroup"), reason="needs Python 3.11")
def test_a_task_groups_failures_stand_on_the_span_around_it() -> None:
    collected = Collected()

    async def fail(number: int) -> None:
        raise ValueError(f"number {number}")

    async def main() -> None:
        with collected.tracer.start_as_current_span("request"):
            async with getattr(asyncio, "TaskGroup")() as group:  # noqa: B009 - not in 3.10
                group.create_task(fail(1))
                group.create_task(fail(2))

    with pytest.raises(Exception, match="unhandled errors"):
        asyncio.run(main())
    attributes = collected.only().events[0].attributes or {}
    assert attributes["exception.type"] == "ExceptionGroup"
    assert "ValueError: number 2" in str(attributes["exception.stacktrace"])


def test_a_copied_context_carries_the_span_into_a_thread() -> None:
    collected = Collected()
    with collected.tracer.start_as_current_span("request") as request:
        carried = contextvars.copy_context()
        for run in (carried.run, lambda target: target()):

            def start(target: Callable[..., Any] = run) -> None:
                target(lambda: collected.tracer.start_span("work").end())

            thread = threading.Thread(target=start)
            thread.start()
            thread.join()
    first, second = collected.spans[:2]
    assert first.parent == request.get_span_context()
    assert second.parent is None


def test_a_span_context_can_be_pickled_and_copied() -> None:
    span = Collected().tracer.start_span("x")
    mine = span.get_span_context()
    for other in (pickle.loads(pickle.dumps(mine)), copy.copy(mine), copy.deepcopy(mine)):
        assert other == mine
        assert isinstance(other, SpanContext)
        assert other.trace_flags.sampled


# --- the SDK


class Editing(SpanProcessor):
    """As some do: takes away and adds behind the span's back."""

    def on_end(self, span: ReadableSpan) -> None:
        attributes: Any = span._attributes
        del attributes["secret.sauce"]
        attributes["edited"] = True
        span._name = span.name.upper()


def test_a_processor_that_edits_the_spans_inner_parts_is_obeyed() -> None:
    collected = Collected()
    collected.provider.add_span_processor(Editing())
    collected.tracer.start_span("x", attributes={"secret.sauce": 1, "a": 2}).end()
    span = collected.only()
    assert (span.name, dict(span.attributes or {})) == ("X", {"a": 2, "edited": True})


def test_a_span_can_be_read_as_the_sdks() -> None:
    collected = Collected()
    exporter = InMemorySpanExporter()
    collected.provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = collected.provider.get_tracer("scope", "1", "https://schema", {"team": "a"})
    with tracer.start_as_current_span("x", kind=SpanKind.CLIENT, start_time=5) as span:
        span.add_event("e", {"n": 1}, timestamp=7)
        span.set_attribute("a", [1, 2])
    (ended,) = exporter.get_finished_spans()
    scope = ended.instrumentation_scope
    assert scope is not None
    assert (scope.name, scope.version, scope.schema_url) == ("scope", "1", "https://schema")
    assert dict(scope.attributes or {}) == {"team": "a"}
    assert (ended.events[0].timestamp, dict(ended.events[0].attributes or {})) == (7, {"n": 1})
    assert ended.attributes == {"a": [1, 2]}
    assert ended.status.is_unset
    assert json.loads(ended.to_json())["kind"] == "SpanKind.CLIENT"
    assert ended.start_time == 5


def test_it_is_a_readable_span_but_not_the_sdks_writable_one() -> None:
    """The SDK's ``Span`` can't be had cheaply; tell one by the API's class or ReadableSpan."""
    span = Collected().tracer.start_span("x")
    assert isinstance(span, trace.Span)
    assert isinstance(span, ReadableSpan)
    assert not isinstance(span, SdkSpan)


def test_the_sdks_batch_processor_and_otlp_exporter_send_our_spans(
    collector: StubCollector,
) -> None:
    collected = Collected()
    processor = BatchSpanProcessor(OTLPSpanExporter(endpoint=collector.endpoint))
    collected.provider.add_span_processor(processor)
    with collected.tracer.start_as_current_span("parent") as parent:
        parent.set_attributes({"text": "a", "list": ["a", "b"], "nested": {"a": 1}})
        parent.add_link(SpanContext(5, 7, is_remote=True))
        parent.record_exception(ValueError("bad"))
        collected.tracer.start_span("child").end()
    assert collected.provider.force_flush(10_000)
    spans = {span["name"]: span for span in collector.wait_for_spans(2)}
    collected.provider.shutdown()
    assert spans["child"]["parent_span_id"] == spans["parent"]["span_id"]
    assert spans["parent"]["attributes"]["list"] == ["a", "b"]
    assert spans["parent"]["events"][0]["attributes"]["exception.message"] == "bad"
    assert spans["parent"]["links"][0]["span_id"] == f"{7:016x}"
    assert spans["parent"]["resource"]["service.name"] == "tests"


def test_instrumentors_are_found_where_they_are_installed() -> None:
    for name in ("requests", "httpx"):
        assert importlib.import_module(f"opentelemetry.instrumentation.{name}")
