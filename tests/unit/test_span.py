"""Spans made through the OpenTelemetry API behave as the specification says."""

from __future__ import annotations

import asyncio
import threading

import pytest
from django.utils.functional import SimpleLazyObject
from opentelemetry import trace
from opentelemetry.baggage import get_baggage, set_baggage
from opentelemetry.context import attach, detach
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.trace.status import Status

from otel_django.conf import SpanLimitSettings
from otel_django.tracing import current
from otel_django.tracing.span import Span
from otel_django.tracing.span_parts import SharedAttributes
from tests.tracing_kit import Collected


def test_a_child_has_its_parents_trace_and_names_it() -> None:
    collected = Collected()
    with (
        collected.tracer.start_as_current_span("outer") as outer,
        collected.tracer.start_as_current_span("inner"),
    ):
        pass
    inner, root = collected.spans
    assert (inner.name, root.name) == ("inner", "outer")
    assert inner.parent == outer.get_span_context()
    assert inner.context.trace_id == root.context.trace_id
    assert root.parent is None


def test_ids_are_valid_and_flagged_random() -> None:
    collected = Collected()
    collected.tracer.start_span("x").end()
    context = collected.only().context
    assert context.is_valid
    assert context.trace_flags == 3


def test_traceparent_of_the_api_carries_sampled_and_random() -> None:
    collected = Collected()
    headers: dict[str, str] = {}
    with collected.tracer.start_as_current_span("x"):
        TraceContextTextMapPropagator().inject(headers)
    assert headers["traceparent"].endswith("-03")


def test_shared_attributes_are_there_for_whoever_reads_and_stay_as_they_are() -> None:
    collected = Collected()
    shared = SharedAttributes({"http.route": "/", "django.app": "shop"})
    one, other = (collected.tracer.start_span("x") for _ in range(2))
    for span in (one, other):
        assert isinstance(span, Span)
        span._shared = shared
    one.set_attribute("http.route", "/mine/")
    one.end()
    other.end()
    first, second = (span.attributes for span in collected.spans)
    assert first == {"http.route": "/mine/", "django.app": "shop"}
    assert second == {"http.route": "/", "django.app": "shop"}


def test_spans_begun_alike_differ_in_what_is_noted_only() -> None:
    collected = Collected()
    shared = SharedAttributes({"db.query.text": "SELECT 1", "db.namespace": "shop"})
    root = collected.tracer.start_span("root")
    assert isinstance(root, Span)
    one, other = (
        collected.tracer.begin_alike("SELECT", SpanKind.CLIENT, shared, {}, root) for _ in range(2)
    )
    one.note("db.response.returned_rows", 3)
    one.note("db.namespace", "elsewhere")
    other.fail("IntegrityError")
    assert other._shared is shared
    for span in (one, other, root):
        span.end()
    first, second = (span.attributes for span in collected.spans[:2])
    assert first == {
        "db.query.text": "SELECT 1",
        "db.namespace": "elsewhere",
        "db.response.returned_rows": 3,
    }
    assert second == {**shared.values, "error.type": "IntegrityError"}
    assert one.parent == root.get_span_context()
    assert one.context.span_id != other.context.span_id


def test_a_span_begun_alike_has_every_slot_of_one_begun_otherwise() -> None:
    collected = Collected()
    root = collected.tracer.start_span("root")
    assert isinstance(root, Span)
    alike = collected.tracer.begin_alike("x", SpanKind.CLIENT, SharedAttributes({}), {}, root)
    other = collected.tracer.begin("x", SpanKind.CLIENT, {}, root)
    unset = [slot for slot in Span.__slots__ if hasattr(other, slot) != hasattr(alike, slot)]
    assert unset == []


def test_processors_see_shared_and_own_attributes_as_one() -> None:
    collected = Collected()
    seen: list[object] = []

    class Reader(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            seen.append(span.attributes)

    collected.provider.add_span_processor(Reader())
    span = collected.tracer.start_span("x", attributes={"url.path": "/a/"})
    assert isinstance(span, Span)
    span._shared = SharedAttributes({"http.route": "/"})
    span.end()
    assert seen == [{"http.route": "/", "url.path": "/a/"}]


def test_a_mutable_value_is_taken_as_it_is_now() -> None:
    collected = Collected()
    items = ["a"]
    with collected.tracer.start_as_current_span("x") as span:
        span.set_attribute("items", items)
        items.append("b")
    assert collected.only().attributes == {"items": ["a"]}


def test_a_lazy_object_is_evaluated_where_it_is_set() -> None:
    collected = Collected()
    thread: list[int] = []

    def load() -> str:
        thread.append(threading.get_ident())
        return "ada"

    with collected.tracer.start_as_current_span("x") as span:
        span.set_attribute("user", SimpleLazyObject(load))  # type: ignore[arg-type]
    assert type(collected.only()._attributes["user"]) is str
    assert thread == [threading.get_ident()]


def test_attributes_events_and_links_beyond_the_limits_are_counted() -> None:
    limits = SpanLimitSettings(2, 1, 1, 1, 1, value_length=3)
    collected = Collected(limits=limits)
    other = SpanContext(1, 1, is_remote=True, trace_flags=TraceFlags(1))
    with collected.tracer.start_as_current_span("x", attributes={"a": "long", "b": 1}) as span:
        span.set_attribute("c", 1)
        span.add_event("one", {"a": 1, "b": 2})
        span.add_event("two")
        span.add_link(other, {"a": 1, "b": 2})
        span.add_link(other)
    ended = collected.only()
    assert ended.attributes == {"a": "lon", "b": 1}
    assert (ended.dropped_attributes, ended.dropped_events, ended.dropped_links) == (1, 1, 1)
    assert ended.events[0].dropped_attributes == 1
    assert ended.links[0].dropped_attributes == 1


def test_an_overwritten_attribute_does_not_count_against_the_limit() -> None:
    collected = Collected(limits=SpanLimitSettings(attributes=1))
    with collected.tracer.start_as_current_span("x", attributes={"a": 1}) as span:
        span.set_attribute("a", 2)
    assert collected.only().attributes == {"a": 2}
    assert collected.only().dropped_attributes == 0


def test_ok_is_final_and_unset_changes_nothing() -> None:
    collected = Collected()
    with collected.tracer.start_as_current_span("x") as span:
        span.set_status(StatusCode.ERROR, "broken")
        span.set_status(StatusCode.UNSET)
        assert span.status.description == "broken"  # type: ignore[attr-defined]
        span.set_status(Status(StatusCode.OK))
        span.set_status(StatusCode.ERROR, "late")
    assert collected.only().status.status_code is StatusCode.OK


def test_nothing_changes_after_the_end() -> None:
    collected = Collected()
    span = collected.tracer.start_span("x")
    span.end(end_time=2**62)
    span.set_attribute("a", 1)
    span.add_event("e")
    span.update_name("y")
    span.set_status(StatusCode.ERROR)
    span.record_exception(ValueError("x"))
    span.end()
    ended = collected.only()
    assert (ended.name, ended.attributes, ended.events) == ("x", {}, ())
    assert ended.end_time == 2**62
    assert not span.is_recording()


def test_an_exception_is_recorded_once_with_type_and_status() -> None:
    collected = Collected()
    with pytest.raises(ValueError, match="bad"), collected.tracer.start_as_current_span("x"):
        raise ValueError("bad")
    span = collected.only()
    (event,) = span.events
    attributes = event.attributes or {}
    assert attributes["exception.type"] == "ValueError"
    assert attributes["exception.message"] == "bad"
    assert "test_span.py" in str(attributes["exception.stacktrace"])
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "ValueError: bad"


def test_start_span_as_a_context_manager_records_as_asked() -> None:
    collected = Collected()
    with pytest.raises(KeyError), collected.tracer.start_span("x", record_exception=False):
        raise KeyError("k")
    assert collected.only().events == ()
    assert collected.only().attributes == {"error.type": "KeyError"}


def test_decorates_functions_and_coroutine_functions() -> None:
    collected = Collected()

    @collected.tracer.start_as_current_span("sync")
    def sync_function() -> int:
        return 1

    @collected.tracer.start_as_current_span("async")
    async def async_function() -> int:
        await asyncio.sleep(0.01)
        return 2

    assert (sync_function(), asyncio.run(async_function())) == (1, 2)
    sync_span, async_span = collected.spans
    assert (sync_span.name, async_span.name) == ("sync", "async")
    assert (async_span.end_time or 0) - (async_span.start_time or 0) >= 10_000_000


def test_links_given_at_the_start_are_kept() -> None:
    collected = Collected()
    other = SpanContext(7, 8, is_remote=True, trace_flags=TraceFlags(1))
    collected.tracer.start_span("x", links=[Link(other, {"why": "batch"})]).end()
    (link,) = collected.only().links
    assert link.context.trace_id == 7
    assert link.attributes == {"why": "batch"}


def test_an_explicit_context_is_the_parent() -> None:
    collected = Collected()
    root = collected.tracer.start_span("root")
    context = trace.set_span_in_context(root)
    with collected.tracer.start_as_current_span("unrelated"):
        collected.tracer.start_span("child", context=context, kind=SpanKind.CLIENT).end()
    child = collected.spans[0]
    assert child.parent == root.get_span_context()
    assert child.kind is SpanKind.CLIENT


def test_it_is_a_span_of_the_sdk_to_those_who_ask() -> None:
    collected = Collected()
    span = collected.tracer.start_span("x")
    assert isinstance(span, trace.Span)
    assert isinstance(span, ReadableSpan)
    span.end()
    assert '"name": "x"' in span.to_json()


def test_attach_keeps_baggage_and_detach_forgives_a_foreign_context() -> None:
    collected = Collected()
    token = attach(set_baggage("tenant", "a"))
    try:
        span = collected.tracer.start_span("x")
        inner = current.attach(span)
        assert get_baggage("tenant") == "a"
        assert current.recording_span() is span
        thread = threading.Thread(target=current.detach, args=(inner,))
        thread.start()
        thread.join()
        current.detach(inner)
        assert current.recording_span() is None
        span.end()
    finally:
        detach(token)


def test_the_end_is_never_before_the_start() -> None:
    collected = Collected()
    collected.tracer.start_span("x", start_time=2**61).end()
    assert collected.only().end_time == 2**61


def test_a_bad_key_is_dropped_and_counted() -> None:
    collected = Collected()
    with collected.tracer.start_as_current_span("x") as span:
        span.set_attribute("", 1)
        span.set_attribute(3, 1)  # type: ignore[arg-type]
    assert collected.only().dropped_attributes == 2


class Unprintable(Exception):
    """A stranger's exception: nothing about it is as one expects."""

    exceptions = 5
    __notes__ = {1: 2}  # noqa: RUF012

    def __str__(self) -> str:
        raise RuntimeError("not even text")


def test_an_exception_that_cannot_be_printed_passes_through_unchanged() -> None:
    collected = Collected()
    with pytest.raises(Unprintable), collected.tracer.start_span("x"):
        raise Unprintable
    with collected.tracer.start_span("y") as span:
        try:
            raise Unprintable
        except Unprintable as exc:
            span.record_exception(exc)
            span.set_status(StatusCode.ERROR, "refused")
    first, second = collected.spans
    assert first.status.description == "Unprintable: [unprintable]"
    assert second.status.description == "refused"
    assert "Unprintable" in str((second.events[0].attributes or {})["exception.stacktrace"])


def test_a_huge_range_is_cut_before_it_is_made() -> None:
    collected = Collected()
    collected.tracer.start_span("x", attributes={"ids": range(10**12)}).end()
    assert collected.only()._attributes["ids"] == list(range(1000))
