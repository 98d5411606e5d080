"""A sampler of the user's, found by its entry point, is asked what the SDK would ask it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.baggage import set_baggage
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_ON,
    Decision,
    ParentBasedTraceIdRatio,
    Sampler,
    SamplingResult,
)
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.span import TraceState
from opentelemetry.util.types import Attributes

from otel_django import guard
from otel_django.bootstrap import tracing
from otel_django.conf import Settings
from otel_django.tracing.samplers import Custom
from otel_django.tracing.span import Span
from tests.tracing_kit import Collected


class ByName(Sampler):
    """Leaves health checks out; says why it took the rest."""

    def __init__(self, argument: str = "") -> None:
        self.argument = argument
        self.asked: list[tuple[str, SpanKind | None, dict[str, Any], bool]] = []

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        parent = get_current_span(parent_context).get_span_context()
        self.asked.append((name, kind, dict(attributes or {}), parent.is_valid))
        if "health" in name:
            return SamplingResult(Decision.DROP)
        return SamplingResult(
            Decision.RECORD_AND_SAMPLE, {"sampled.by": "name", "token": "s3cret"}, TraceState()
        )

    def get_description(self) -> str:
        return "ByName"


class Failing(ByName):
    def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
        raise RuntimeError("no idea")


def remote(sampled: bool) -> SpanContext:
    return SpanContext(5, 7, True, TraceFlags(int(sampled)))


def test_it_decides_by_name_kind_and_attributes_and_adds_its_own() -> None:
    sampler = ByName()
    collected = Collected(Custom(sampler))
    with (
        collected.tracer.start_as_current_span(
            "GET /", kind=SpanKind.SERVER, attributes={"url.path": "/"}
        ),
        collected.tracer.start_as_current_span("child"),
    ):
        pass
    collected.tracer.start_span("GET /health").end()
    assert [span.name for span in collected.spans] == ["child", "GET /"]
    assert collected.spans[1].attributes == {
        "url.path": "/",
        "sampled.by": "name",
        "token": "[redacted]",
    }
    assert sampler.asked == [
        ("GET /", SpanKind.SERVER, {"url.path": "/"}, False),
        ("GET /health", SpanKind.INTERNAL, {}, False),
    ]


def test_a_new_root_is_no_child_of_what_happens_to_be_current() -> None:
    sampler = ByName()
    collected = Collected(Custom(sampler))
    token = attach(set_span_in_context(NonRecordingSpan(remote(True))))
    try:
        collected.tracer.begin_local_root("GET /", SpanKind.SERVER, {}, None)
        collected.tracer.begin_local_root("GET /", SpanKind.SERVER, {}, remote(False))
    finally:
        detach(token)
    assert [asked[3] for asked in sampler.asked] == [False, True]


@pytest.mark.parametrize("sampled", [True, False])
def test_the_sdks_own_samplers_follow_a_remote_parent(sampled: bool) -> None:
    collected = Collected(Custom(ParentBasedTraceIdRatio(0.0)))
    span = collected.tracer.begin_local_root("x", SpanKind.SERVER, {}, remote(sampled))
    assert isinstance(span, Span) is sampled
    assert not isinstance(collected.tracer.start_span("root"), Span)
    assert Custom(ALWAYS_ON).head(None, 1).sampled


def test_where_it_fails_the_callers_decision_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    collected = Collected(Custom(Failing()))
    monkeypatch.setattr(guard, "_strict", False)
    tracer = collected.tracer
    assert isinstance(tracer.start_span("x"), Span)
    assert isinstance(tracer.begin_local_root("x", SpanKind.SERVER, {}, remote(True)), Span)
    assert not isinstance(tracer.begin_local_root("x", SpanKind.SERVER, {}, remote(False)), Span)
    assert guard.faults()["Failing.should_sample"] == 3


def offer(folder: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    info = folder / "dice-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dice\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[opentelemetry_traces_sampler]\ndice = {target}\n")
    monkeypatch.syspath_prepend(str(folder))


def test_the_entry_points_sampler_gets_its_argument(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(tmp_path, monkeypatch, f"{__name__}:ByName")
    settings = Settings(traces_sampler="dice", traces_sampler_arg=0.25)
    sampler = tracing.sampler(settings)
    assert isinstance(sampler, Custom)
    assert isinstance(sampler._inner, ByName)
    assert sampler._inner.argument == "0.25"


def test_one_that_cannot_be_made_is_said_and_everything_is_sampled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    offer(tmp_path, monkeypatch, "nowhere:Sampler")
    monkeypatch.setattr(guard, "_strict", False)
    with caplog.at_level(logging.WARNING, guard.LOGGER_NAME):
        sampler = tracing.sampler(Settings(traces_sampler="dice"))
    assert sampler.head(None, 1).sampled
    assert "The sampler 'dice' can't be used" in caplog.text


class Starts(SpanProcessor):
    """Notes what there is to see when a span begins."""

    def __init__(self) -> None:
        self.seen: list[tuple[object, int]] = []

    def on_start(self, span: Any, parent_context: Context | None = None) -> None:
        self.seen.append((parent_context, len(span.links)))

    def on_end(self, span: ReadableSpan) -> None:
        pass


def test_a_processor_gets_the_parents_context_and_the_links_at_the_start() -> None:
    collected = Collected()
    starts = Starts()
    collected.provider.add_span_processor(starts)
    context = set_baggage("tenant", "a", Context())
    collected.tracer.start_span("x", context=context, links=[Link(remote(True))]).end()
    assert starts.seen == [(context, 1)]
