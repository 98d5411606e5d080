"""The provider works with what users bring: processors, exporters, instrumentors, configurators."""

from __future__ import annotations

import io
import os
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, _TracerConfig
from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SimpleSpanProcessor,
)
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan

from otel_django import guard
from tests.tracing_kit import Collected


def test_it_is_an_sdk_provider_and_equal_scopes_share_a_tracer() -> None:
    provider = Collected().provider
    assert isinstance(provider, SdkTracerProvider)
    assert provider.get_tracer("a", "1") is provider.get_tracer("a", "1")
    assert provider.get_tracer("a", "1") is not provider.get_tracer("a", "2")


@pytest.mark.parametrize("processor_class", [SimpleSpanProcessor, BatchSpanProcessor])
def test_a_users_processor_gets_every_sampled_span(processor_class: type[Any]) -> None:
    collected = Collected()
    exporter = InMemorySpanExporter()
    collected.provider.add_span_processor(processor_class(exporter))
    with collected.tracer.start_as_current_span("outer"):
        collected.tracer.start_span("inner").end()
    assert collected.provider.force_flush()
    assert [span.name for span in exporter.get_finished_spans()] == ["inner", "outer"]
    collected.provider.shutdown()


def test_a_processor_added_later_reaches_tracers_taken_earlier() -> None:
    collected = Collected()
    exporter = InMemorySpanExporter()
    collected.tracer.start_span("before").end()
    collected.provider.add_span_processor(SimpleSpanProcessor(exporter))
    collected.tracer.start_span("after").end()
    assert [span.name for span in exporter.get_finished_spans()] == ["after"]


class Enriching(SpanProcessor):
    """What third parties do: add at the start, change at the ending, read at the end."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        span.set_attribute("tenant", "a")

    def _on_ending(self, span: Any) -> None:
        span.set_attribute("ending", True)

    def on_end(self, span: ReadableSpan) -> None:
        self.seen = dict(span.attributes or {})


def test_a_processor_may_add_attributes_until_the_end() -> None:
    collected = Collected()
    processor = Enriching()
    collected.provider.add_span_processor(processor)
    collected.tracer.start_span("x").end()
    assert processor.seen == {"tenant": "a", "ending": True}
    assert collected.only().attributes == processor.seen


class Failing(SpanProcessor):
    def on_start(self, span: Any, parent_context: Any = None) -> None:
        raise RuntimeError("on_start")

    def on_end(self, span: ReadableSpan) -> None:
        raise RuntimeError("on_end")


def test_a_failing_processor_never_reaches_the_site() -> None:
    collected = Collected()
    collected.provider.add_span_processor(Failing())
    guard.set_strict(False)
    try:
        collected.tracer.start_span("x").end()
    finally:
        guard.set_strict(True)
    assert collected.only().name == "x"
    assert guard.faults()["Failing.on_end"] >= 1


def test_upstream_exporters_and_encoder_read_our_span() -> None:
    collected = Collected()
    with collected.tracer.start_as_current_span("x", attributes={"a": [1, 2]}) as span:
        span.add_event("e")
    request = encode_spans(collected.spans)
    assert request.resource_spans[0].scope_spans[0].spans[0].name == "x"
    out = io.StringIO()
    ConsoleSpanExporter(out=out).export(collected.spans)
    assert '"name": "x"' in out.getvalue()


def test_a_configurator_can_switch_a_tracer_off() -> None:
    collected = Collected()
    collected.provider._set_tracer_configurator(
        tracer_configurator=lambda scope: _TracerConfig(is_enabled=scope.name != "tests")
    )
    assert isinstance(collected.tracer.start_span("x"), NonRecordingSpan)
    collected.provider.get_tracer("other").start_span("y").end()
    assert [span.name for span in collected.spans] == ["y"]


def test_P1_a_forked_child_has_ids_of_its_own_and_leaves_the_parents_spans_alone() -> None:
    collected = Collected(
        child_resource=lambda parent: parent.merge(type(parent)({"service.instance.id": "child"}))
    )
    open_span = collected.tracer.start_span("begun before")
    before = collected.provider.id_generator.bits(64)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            ours = collected.provider.id_generator.bits(64)
            open_span.end()
            collected.tracer.start_span("in child").end()
            names = ",".join(span.name for span in collected.spans)
            instance = collected.provider.resource.attributes["service.instance.id"]
            own = collected.spans[0].resource.attributes["service.instance.id"]
            os.write(writer, f"{ours}|{names}|{instance!s}|{own!s}".encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    ids, names, instance, own = os.read(reader, 4096).decode().split("|")
    os.close(reader)
    assert int(ids) not in {before, collected.provider.id_generator.bits(64)}
    assert names == "in child"
    assert (instance, own) == ("child", "child")
    open_span.end()
    assert collected.only().name == "begun before"


def test_a_users_processor_in_a_forked_child_is_not_told_of_the_parents_spans() -> None:
    ended: list[str] = []

    class Notes(SpanProcessor):
        def on_end(self, span: Any) -> None:
            ended.append(span.name)

    collected = Collected()
    collected.provider.add_span_processor(Notes())
    open_span = collected.tracer.start_span("begun before")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            open_span.end()
            collected.tracer.start_span("in child").end()
            os.write(writer, ",".join(ended).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    assert os.read(reader, 100) == b"in child"
    os.close(reader)
    open_span.end()
    assert ended == ["begun before"]
