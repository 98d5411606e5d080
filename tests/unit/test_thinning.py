"""Traces that are thinned out: only their first span is made, and leaves only if it matters."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.span import TraceState

from otel_django.tracing.current import attach, detach, recording_span
from otel_django.tracing.local_trace import KeepPolicy
from otel_django.tracing.samplers import threshold
from otel_django.tracing.span import Span
from otel_django.tracing.thinning import SoleSpan, Thinning
from otel_django.tracing.tracer import DroppedSpan
from tests.tracing_kit import Collected

HIGH = (0xAB << 120) | 0xFFFFFFFFFFFFFF
"""A trace id that every threshold lets pass; LOW passes only that of all traces."""
LOW = (0xAB << 120) | 1
SECOND_NS = 1_000_000_000


def thinned(share: float = 0.25, **options: object) -> Collected:
    collected = Collected(**options)  # type: ignore[arg-type]
    collected.provider.thin(Thinning(share, slow_s=1.0))
    return collected


def root(collected: Collected, trace_id: int, **options: object) -> Span:
    span = collected.tracer.begin_local_root(
        "GET /",
        SpanKind.SERVER,
        {},
        trace_id=trace_id,
        **options,  # type: ignore[arg-type]
    )
    assert isinstance(span, Span)
    return span


def leaving_state(span: Span) -> str:
    return (span._export_state or span._context.trace_state).to_header()


def remote(trace_id: int, state: str = "", flags: int = 3) -> SpanContext:
    parsed = TraceState.from_header([state]) if state else TraceState()
    return SpanContext(trace_id, 7, True, TraceFlags(flags), parsed)


def test_a_trace_that_stays_whole_says_with_which_probability() -> None:
    collected = thinned()
    span = root(collected, HIGH)
    child = collected.tracer.begin("SELECT", SpanKind.CLIENT, {}, span)
    child.end()
    span.end()
    assert collected.spans == [child, span]
    assert {leaving_state(each) for each in collected.spans} == {"ot=th:c"}
    assert span._context.trace_flags & 1


def test_a_trace_that_is_thinned_out_leaves_nothing_and_has_nothing_below() -> None:
    collected = thinned()
    span = root(collected, LOW)
    assert type(span) is SoleSpan
    assert not span._context.trace_flags & 1
    assert span._context.trace_state.to_header() == ""
    token = attach(span)
    try:
        assert recording_span() is None
        assert type(collected.tracer.start_span("inner")) is DroppedSpan
        with collected.tracer.start_as_current_span("within"):
            assert trace.get_current_span().get_span_context() == span._context
    finally:
        detach(token)
    span.end()
    assert collected.spans == []


@pytest.mark.parametrize("how", ["failed", "slow"])
def test_what_failed_or_was_slow_leaves_and_counts_once(how: str) -> None:
    collected = thinned()
    span = root(collected, LOW, start_time=SECOND_NS)
    if how == "failed":
        span.fail("ValueError")
    span.end(SECOND_NS + (1000 if how == "failed" else SECOND_NS))
    assert collected.only() is span
    assert leaving_state(span) == "ot=th:0"


def test_failing_by_the_api_counts_too() -> None:
    collected = thinned(0.0)
    with (
        pytest.raises(ValueError, match="no"),
        collected.tracer.start_as_current_span("by hand"),
    ):
        raise ValueError("no")
    assert collected.only().name == "by hand"


def test_counts_can_be_made_of_what_stays_whole() -> None:
    collected = thinned(0.25)
    for _ in range(4000):
        collected.tracer.begin_local_root("GET /", SpanKind.SERVER, {})
    whole = sum(
        type(collected.tracer.begin_local_root("GET /", SpanKind.SERVER, {})) is Span
        for _ in range(4000)
    )
    assert whole * 4 == pytest.approx(4000, rel=0.2)


@pytest.mark.parametrize(
    ("state", "left"),
    [
        ("", "ot=th:c"),
        ("ot=th:8", "ot=th:c"),
        ("ot=th:f", "ot=th:f"),
        ("other=1", "ot=th:c,other=1"),
        ("ot=th:8;rv:ffffffffffffff", "ot=th:c;rv:ffffffffffffff"),
    ],
)
def test_a_caller_s_lower_probability_stays(state: str, left: str) -> None:
    collected = thinned(0.25)
    span = root(collected, 0, parent=remote(HIGH, state))
    assert type(span) is Span
    assert leaving_state(span) == left


def test_a_caller_s_randomness_decides() -> None:
    collected = thinned(0.25)
    assert type(root(collected, 0, parent=remote(HIGH, "ot=rv:00000000000001"))) is SoleSpan
    assert type(root(collected, 0, parent=remote(LOW, "ot=rv:ffffffffffffff"))) is Span


def test_what_the_sampler_drops_stays_dropped() -> None:
    collected = thinned(0.25)
    span = collected.tracer.begin_local_root("GET /", SpanKind.SERVER, {}, remote(HIGH, flags=0))
    assert type(span) is DroppedSpan


def test_with_keep_a_thinned_trace_holds_nothing_back() -> None:
    keep = KeepPolicy(errors=True, slow=True, slow_s=1.0)
    collected = thinned(0.25, sampler="parentbased_traceidratio", ratio=0.5, keep=keep)
    for _ in range(100):
        span = collected.tracer.begin_local_root("GET /", SpanKind.SERVER, {})
        assert type(span) is not DroppedSpan
        span.end()
    assert 0 < len(collected.spans) < 60
    collected.spans.clear()
    failed = root(collected, LOW)
    failed.fail("500")
    failed.end()
    assert collected.only() is failed


def test_thinning_ends_with_the_next_trace() -> None:
    collected = thinned(0.0)
    collected.provider.thin(None)
    span = root(collected, LOW)
    span.end()
    assert collected.only() is span
    assert leaving_state(span) == ""


def test_a_tracer_made_later_thins_too() -> None:
    collected = thinned(0.0)
    tracer = collected.provider.tracer("later")
    assert type(tracer.begin_local_root("x", SpanKind.INTERNAL, {})) is SoleSpan


def test_the_threshold_is_that_of_the_samplers() -> None:
    assert f"{threshold(0.25):014x}".rstrip("0") == "c"
