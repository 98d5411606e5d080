"""Spans of every shape for the encoder's tests, and what upstream should have made of them."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from otel_django.conf import SpanLimitSettings
from otel_django.pipeline.otlp_trace import encode_request
from otel_django.tracing.exceptions import ExceptionFormatter
from otel_django.tracing.limits import Normaliser
from otel_django.tracing.local_trace import LocalTrace
from otel_django.tracing.provider import TracerProvider
from otel_django.tracing.redaction import Redactor
from otel_django.tracing.samplers import AlwaysOn
from otel_django.tracing.span import Event, Link, Span

_redactor = Redactor(())
_tracer = TracerProvider(
    resource=Resource({"service.name": "shop"}),
    sampler=AlwaysOn(),
    normaliser=Normaliser(_redactor, SpanLimitSettings()),
    exceptions=ExceptionFormatter(_redactor),
    sink=lambda span: None,
).tracer("tests")


def make_span(**slots: Any) -> Span:
    """An ended span; ``slots`` without their underscore."""
    context = slots.pop("context", None) or SpanContext(1, 2, is_remote=False)
    span = Span(_tracer, LocalTrace(0, True), "name", SpanKind.INTERNAL, context, None, {}, 1_000)
    span._end_time = 2_000
    for name, value in slots.items():
        setattr(span, f"_{name}", value)
    return span


def ours(spans: Sequence[Span]) -> ExportTraceServiceRequest:
    """Our bytes, read by protobuf."""
    message = ExportTraceServiceRequest()
    message.ParseFromString(encode_request(spans))
    return message


def our_span(span: Span) -> SpanMessage:
    """Our bytes of one span, read by protobuf."""
    (message,) = ours([span]).resource_spans[0].scope_spans[0].spans
    return message


def comparable(message: ExportTraceServiceRequest | SpanMessage) -> bytes:
    """Bytes that are equal for equal messages, NaN included."""
    return message.SerializeToString(deterministic=True)


# --- Upstream's faults -----------------------------------------------------------------------
#
# Upstream's encoder is compared after mending these and only these. Before it runs:
#  - ints beyond 64 bits: it drops the whole attribute with a logged traceback; ours are strings;
#  - lone surrogates: it drops the attribute, or in a name raises and loses the batch; ours become
#    U+FFFD;
#  - the exported tracestate: not its fault, it can't know that slot.
# After it ran:
#  - flags: bits 0-7 hold the W3C trace flags by the protocol (opentelemetry-python#4666), of spans
#    and of links; it leaves them 0;
#  - links' trace_state: it leaves them out.
# Each has a test of its own against the protocol in test_otlp_upstream_faults.py.


def upstream(spans: Sequence[Span]) -> ExportTraceServiceRequest:
    """What upstream makes of ``spans``, its faults mended."""
    message: ExportTraceServiceRequest = encode_spans([_spared(span) for span in spans])
    encoded = {
        (one.trace_id, one.span_id): one
        for resource in message.resource_spans
        for scope in resource.scope_spans
        for one in scope.spans
    }
    for span in spans:
        context = span._context
        one = encoded[context.trace_id.to_bytes(16, "big"), context.span_id.to_bytes(8, "big")]
        one.flags |= context.trace_flags & 0xFF
        for link_message, link in zip(one.links, span._links, strict=True):
            link_message.flags |= link.context.trace_flags & 0xFF
            link_message.trace_state = link.context.trace_state.to_header()
    return message


def _spared(span: Span) -> ReadableSpan:
    """A copy without what upstream stumbles over."""
    copied = copy.copy(span)
    copied._name = without_surrogates(span._name)
    copied._attributes = spared(span._attributes)
    copied._events = [
        Event(without_surrogates(e.name), spared(e._attributes), e.timestamp, e.dropped_attributes)
        for e in span._events
    ]
    copied._links = [
        Link(one.context, spared(one._attributes), one.dropped_attributes) for one in span._links
    ]
    copied._status = Status(span._status.status_code, without_surrogates(span._status.description))
    if span._export_state is not None:
        c = span._context
        copied._context = SpanContext(c[0], c[1], c[2], TraceFlags(c[3]), span._export_state)
    return copied


def without_surrogates(text: Any) -> Any:
    return text and "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)


def spared(value: Any) -> Any:
    if isinstance(value, str):
        return without_surrogates(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)
    if isinstance(value, dict):
        return {without_surrogates(key): spared(item) for key, item in value.items()}
    if isinstance(value, list):
        return [spared(item) for item in value]
    return value


# --- Shapes ----------------------------------------------------------------------------------

texts = st.one_of(
    st.sampled_from(["", "GET", "é\u20ac😀", "\x00", "a\ud800b", "\ud83d\ude00", "x" * 130]),
    st.text(st.characters(), max_size=20),
    st.integers(0, 3).map(lambda n: "ab€" * (10 ** (n + 1))),
)
ints = st.one_of(
    st.sampled_from([0, 1, -1, 127, 128, 16383, 16384, 2**21, 2**63 - 1, -(2**63), 2**63, 2**64]),
    st.integers(-(2**70), 2**70),
)
floats = st.one_of(st.sampled_from([0.0, -0.0, 1.0, math.nan, math.inf, -math.inf]), st.floats())
scalars = st.one_of(texts, ints, floats, st.booleans(), st.none(), st.binary(max_size=10))
keys = st.one_of(
    st.sampled_from(["http.route", "db.query.text", "k", "😀", "\udc00", "k" * 128]),
    st.text(st.characters(), min_size=1, max_size=8),
)


def _distinct_keys(attributes: dict[str, Any]) -> dict[str, Any]:
    """Without keys that would be the same once their surrogates are replaced."""
    return {without_surrogates(key): (key, value) for key, value in attributes.items()}


def maps_of(values: st.SearchStrategy[Any], max_size: int) -> st.SearchStrategy[dict[str, Any]]:
    found = st.dictionaries(keys, values, max_size=max_size)
    return found.map(lambda one: dict(_distinct_keys(one).values()))


values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | maps_of(inner, 3), max_leaves=8
)
attributes = st.one_of(
    maps_of(scalars, 6),
    maps_of(values, 4),
    st.integers(30, 70).map(lambda n: {f"attribute {i}": i for i in range(n)}),
)
times = st.integers(0, 2**64 - 1)
counts = st.one_of(st.just(0), st.integers(0, 2**32 - 1))
states = st.sampled_from([TraceState(), TraceState([("ot", "th:8"), ("vendor", "a:b")])])
contexts = st.builds(
    SpanContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.booleans(),
    st.integers(0, 255).map(TraceFlags),
    states,
)
events = st.builds(Event, texts, attributes, times, counts)
links = st.builds(Link, contexts, attributes, counts)
statuses = st.one_of(
    st.sampled_from([Status(StatusCode.UNSET), Status(StatusCode.OK)]),
    st.builds(Status, st.just(StatusCode.ERROR), st.none() | texts),
)
# Equal ones twice, so that merging shows; the second with its attributes in another order.
resources = st.sampled_from(
    [
        Resource({"service.name": "shop", "process.pid": 7, "process.command_args": ["a", "b"]}),
        Resource({"process.pid": 7, "service.name": "shop", "process.command_args": ["a", "b"]}),
        Resource({"service.name": "shop"}, "https://opentelemetry.io/schemas/1.44.0"),
        Resource({}),
    ]
)
scopes = st.sampled_from(
    [
        InstrumentationScope("otel_django", "1.0"),
        InstrumentationScope("otel_django", "1.0"),
        InstrumentationScope("shop", None, "https://opentelemetry.io/schemas/1.44.0"),
        InstrumentationScope("shop", "2", "", {"team": "orders", "tier": 1}),
        None,
    ]
)
spans = st.builds(
    make_span,
    name=texts,
    context=contexts,
    kind=st.sampled_from(SpanKind),
    parent=st.none() | contexts,
    start_time=times,
    end_time=times,
    attributes=attributes,
    events=st.lists(events, max_size=2),
    links=st.lists(links, max_size=2),
    status=statuses,
    resource=resources,
    instrumentation_scope=scopes,
    export_state=st.none() | states,
    dropped_attributes=counts,
    dropped_events=counts,
    dropped_links=counts,
)
batches = st.lists(spans, max_size=5, unique_by=lambda span: (span._context[0], span._context[1]))
