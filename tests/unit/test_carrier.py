"""Trace context in messages' headers, held equal to upstream's propagators."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.trace.span import TraceState

from otel_django.errors import ConfigurationError
from otel_django.tracing.carrier import Carrier

upstream = CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()])
usual = Carrier(("tracecontext", "baggage"))

contexts = st.builds(
    SpanContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.just(False),
    st.integers(0, 3).map(TraceFlags),
    st.sampled_from([None, TraceState(), TraceState([("ot", "th:8"), ("other", "x")])]),
)


def in_context(span: SpanContext, carried: dict[str, str]) -> Context:
    context = set_span_in_context(NonRecordingSpan(span), Context())
    for key, value in carried.items():
        context = baggage.set_baggage(key, value, context)
    return context


baggages = st.dictionaries(st.sampled_from(["tenant", "plan"]), st.text("abc ,;=é", max_size=9))


@given(contexts, baggages)
def test_what_is_written_is_what_upstream_writes(
    span: SpanContext, carried: dict[str, str]
) -> None:
    context = in_context(span, carried)
    theirs: dict[str, Any] = {}
    upstream.inject(theirs, context)
    ours: dict[str, Any] = {}
    usual.inject(ours, context, span)
    assert ours == theirs


@given(contexts, baggages)
def test_what_is_read_is_what_upstream_reads(span: SpanContext, carried: dict[str, str]) -> None:
    headers: dict[str, Any] = {"lang": "py", "retries": 0, "eta": None}
    upstream.inject(headers, in_context(span, carried))
    theirs = upstream.extract(headers, Context())
    remote, context = usual.extract(headers)
    assert remote == get_current_span(theirs).get_span_context()
    assert baggage.get_all(context) == baggage.get_all(theirs)


def test_headers_of_an_earlier_message_are_replaced() -> None:
    headers = {"traceparent": "old", "tracestate": "old=1", "baggage": "old=1"}
    span = SpanContext(1, 2, False, TraceFlags(1))
    usual.inject(headers, in_context(span, {}), span)
    assert headers == {"traceparent": f"00-{1:032x}-{2:016x}-01"}


def test_baggage_of_the_sites_own_is_left_alone_where_none_is_propagated() -> None:
    headers = {"baggage": "tenant=a"}
    span = SpanContext(1, 2, False, TraceFlags(1))
    Carrier(("tracecontext",)).inject(headers, in_context(span, {}), span)
    assert headers["baggage"] == "tenant=a"


@pytest.mark.parametrize("value", [None, 12, ["00-1-2-01"], b"00", "nonsense"])
def test_nonsense_in_the_headers_is_no_context(value: object) -> None:
    assert usual.extract({"traceparent": value})[0] is None


def test_none_writes_and_reads_nothing() -> None:
    none = Carrier(("none",))
    span = SpanContext(1, 2, False, TraceFlags(1))
    headers: dict[str, Any] = {}
    none.inject(headers, in_context(span, {"a": "b"}), span)
    assert headers == {}
    usual.inject(headers, in_context(span, {}), span)
    assert none.extract(headers)[0] is None


def test_baggage_alone_carries_no_trace() -> None:
    carrier = Carrier(("baggage",))
    span = SpanContext(1, 2, False, TraceFlags(1))
    headers: dict[str, Any] = {}
    carrier.inject(headers, in_context(span, {"tenant": "a"}), span)
    assert headers == {"baggage": "tenant=a"}
    remote, context = carrier.extract(headers)
    assert remote is None
    assert baggage.get_all(context) == {"tenant": "a"}


def test_a_format_that_nobody_provides_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="smoke-signals"):
        Carrier(("smoke-signals",))
