"""Samplers decide consistently and say with which probability; KEEP saves what matters."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

from otel_django.tracing import samplers
from otel_django.tracing.local_trace import KeepPolicy
from otel_django.tracing.span import Span
from otel_django.tracing.tracer import DroppedSpan
from tests.tracing_kit import Collected

KEEP_BOTH = KeepPolicy(errors=True, slow=True, slow_s=1.0)


def remote(sampled: bool, state: TraceState | None = None, trace_id: int = 0x5) -> SpanContext:
    return SpanContext(trace_id, 0x7, True, TraceFlags(2 | sampled), state)


@given(st.floats(0, 1), st.integers(1, 2**128 - 1))
def test_a_higher_ratio_keeps_all_that_a_lower_one_keeps(ratio: float, trace_id: int) -> None:
    lower = samplers.Ratio(ratio / 2).head(None, trace_id).sampled
    assert not lower or samplers.Ratio(ratio).head(None, trace_id).sampled


@given(st.floats(2**-56, 1))
def test_the_written_threshold_reads_back_to_the_ratio(ratio: float) -> None:
    text = samplers.encode_threshold(samplers.threshold(ratio))
    value = int(text.ljust(14, "0"), 16)
    assert math.isclose((2**56 - value) / 2**56, ratio, abs_tol=2**-56)


@pytest.mark.parametrize(
    ("ratio", "text"), [(1.0, "0"), (0.5, "8"), (0.25, "c"), (0.01, "fd70a3d70a3d7")]
)
def test_known_thresholds_of_the_specification(ratio: float, text: str) -> None:
    assert samplers.encode_threshold(samplers.threshold(ratio)).startswith(text[:12])


def test_an_explicit_randomness_value_decides() -> None:
    sampler = samplers.Ratio(0.5)
    low = remote(True, TraceState([("ot", "rv:00000000000001")]), trace_id=2**56 - 1)
    high = remote(True, TraceState([("ot", "rv:ffffffffffffff")]), trace_id=1)
    assert not sampler.head(low, low.trace_id).sampled
    assert sampler.head(high, high.trace_id).state["ot"] == "rv:ffffffffffffff;th:8"


def test_other_tracestate_entries_and_sub_keys_stay() -> None:
    state = TraceState([("vendor", "x"), ("ot", "th:1;xx:2")])
    changed = samplers.with_threshold(state, 0)
    assert changed["vendor"] == "x"
    assert samplers.ot_members(changed) == {"th": "0", "xx": "2"}
    assert samplers.ot_members(samplers.with_threshold(changed, None)) == {"xx": "2"}


@pytest.mark.parametrize("name", samplers.SAMPLER_NAMES)
def test_every_sampler_of_the_specification_exists(name: str) -> None:
    sampler = samplers.sampler_from(name, 0.0)
    expected = name in {"always_on", "parentbased_always_on"}
    assert sampler.head(None, 1).sampled is expected
    if name.startswith("parentbased"):
        assert sampler.head(remote(True), 5).sampled
        assert not sampler.head(remote(False), 5).sampled


def test_a_dropped_trace_stays_dropped_below_and_is_never_recorded() -> None:
    collected = Collected("always_off")
    with collected.tracer.start_as_current_span("outer") as outer:
        assert isinstance(outer, DroppedSpan)
        with collected.tracer.start_as_current_span("inner") as inner:
            assert not inner.is_recording()
            assert inner.get_span_context().trace_flags == 2
    assert collected.spans == []


def test_the_ratio_is_kept_and_written_on_the_span() -> None:
    collected = Collected("traceidratio", 0.25)
    for _ in range(4000):
        collected.tracer.start_span("x").end()
    assert abs(len(collected.spans) - 1000) < 4 * math.sqrt(4000 * 0.25 * 0.75)
    assert {span.context.trace_state["ot"] for span in collected.spans} == {"th:c"}


def weight(span: Span) -> float:
    """How many requests an exported span stands for, by its tracestate."""
    state = span._export_state if span._export_state is not None else span.context.trace_state
    threshold = int(samplers.ot_members(state)["th"].ljust(14, "0"), 16)
    return 2**56 / (2**56 - threshold)


def test_KEEP_errors_and_slow_survive_one_per_cent_and_counts_can_be_re_weighted() -> None:
    collected = Collected("parentbased_traceidratio", 0.01, KEEP_BOTH)
    requests = 30_000
    for number in range(requests):
        slow = number % 500 == 1
        span = collected.tracer.start_span("GET /", start_time=10**18)
        child = (
            collected.tracer.begin("SELECT", SpanKind.CLIENT, {}, span)
            if isinstance(span, Span)
            else None
        )
        if number % 300 == 0:
            span.set_status(StatusCode.ERROR)
        if child is not None:
            child.end()
        span.end(end_time=10**18 + (2 * 10**9 if slow else 10**6))
    roots = [span for span in collected.spans if span.parent is None]
    errors = [span for span in roots if span.status.status_code is StatusCode.ERROR]
    slow_ones = [span for span in roots if (span.end_time or 0) - (span.start_time or 0) > 10**9]
    assert len(errors) == len(range(0, requests, 300))
    assert len(slow_ones) == len(range(1, requests, 500))
    assert len(collected.spans) == 2 * len(roots)
    estimate = sum(weight(span) for span in roots)
    ordinary = requests - len(errors) - len(slow_ones)
    sigma = math.sqrt(ordinary * (1 - 0.01) / 0.01)
    assert abs(estimate - requests) < 3 * sigma


def test_KEEP_propagates_the_heads_decision_and_keeps_its_own_on_the_exported_span() -> None:
    collected = Collected("traceidratio", 0.0, KEEP_BOTH)
    with collected.tracer.start_as_current_span("x") as span:
        assert span.is_recording()
        assert span.get_span_context().trace_flags == 2
        span.set_status(StatusCode.ERROR)
    exported = collected.only()
    assert exported._export_state is not None
    assert exported._export_state["ot"] == "th:0"
    assert "ot" not in exported.context.trace_state


def test_KEEP_saves_an_error_though_the_caller_dropped_the_trace() -> None:
    collected = Collected("parentbased_always_on", 1.0, KEEP_BOTH)
    root = collected.tracer.begin_local_root("x", SpanKind.SERVER, {}, remote(False))
    assert isinstance(root, Span)
    collected.tracer.begin("q", SpanKind.CLIENT, {}, root).end()
    root.fail("ValueError")
    root.end()
    assert [span.name for span in collected.spans] == ["q", "x"]


def test_KEEP_forgets_an_unremarkable_trace_with_its_late_spans() -> None:
    collected = Collected("always_off", 1.0, KEEP_BOTH)
    root = collected.tracer.begin_local_root("x", SpanKind.SERVER, {})
    assert isinstance(root, Span)
    late = collected.tracer.begin("late", SpanKind.INTERNAL, {}, root)
    root.end()
    late.end()
    assert collected.spans == []


def test_KEEP_costs_nothing_where_everything_is_sampled_with_certainty() -> None:
    collected = Collected("always_on", 1.0, KEEP_BOTH)
    root = collected.tracer.begin_local_root("x", SpanKind.SERVER, {})
    assert isinstance(root, Span)
    assert root.local_root().held is None


def test_KEEP_a_processor_of_the_users_sees_kept_spans_too() -> None:
    collected = Collected("always_off", 1.0, KEEP_BOTH)
    exporter = InMemorySpanExporter()
    collected.provider.add_span_processor(SimpleSpanProcessor(exporter))
    span = collected.tracer.start_span("x")
    span.set_status(StatusCode.ERROR)
    span.end()
    assert len(collected.spans) == 1
    # The SDK's own processors look at the head's flag; that is documented.
    assert exporter.get_finished_spans() == ()


def test_no_sampled_flag_means_no_work_for_non_recording_parents() -> None:
    collected = Collected()
    parent = NonRecordingSpan(remote(False))
    from opentelemetry.trace import set_span_in_context

    child = collected.tracer.start_span("x", context=set_span_in_context(parent))
    assert isinstance(child, DroppedSpan)
    assert child.get_span_context().trace_id == 5
