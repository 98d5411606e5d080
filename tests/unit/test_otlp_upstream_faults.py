"""Where upstream's encoder is wrong: ours against the protocol's definition (trace.proto)."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import SpanFlags
from opentelemetry.trace import SpanContext, TraceFlags, TraceState

from otel_django.pipeline.protobuf import CIRCULAR, MAX_DEPTH, TOO_DEEP
from otel_django.tracing.span import Event, Link
from tests.unit.otlp_spans import make_span, our_span, ours

SAMPLED_AND_RANDOM = TraceFlags(3)


def attribute(value: Any) -> AnyValue:
    """``value`` as it comes out of an attribute."""
    [encoded] = our_span(make_span(attributes={"key": value})).attributes
    assert encoded.key == "key"
    return encoded.value


@pytest.mark.parametrize("flags", [0, 1, 2, 3, 0xFF])
def test_the_low_eight_bits_of_a_spans_flags_are_the_w3c_flags(flags: int) -> None:
    context = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(flags))
    encoded = our_span(make_span(context=context)).flags
    assert encoded & SpanFlags.SPAN_FLAGS_TRACE_FLAGS_MASK == flags
    assert encoded & SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
    assert encoded < 1 << 10  # bits 10 to 31 are reserved and 0


@pytest.mark.parametrize("is_remote", [False, True])
def test_bit_nine_says_that_the_parent_is_remote(is_remote: bool) -> None:
    encoded = our_span(make_span(parent=SpanContext(1, 3, is_remote=is_remote))).flags
    assert bool(encoded & SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK) is is_remote


def test_a_link_carries_flags_and_trace_state_of_its_context() -> None:
    context = SpanContext(
        5, 6, is_remote=True, trace_flags=SAMPLED_AND_RANDOM, trace_state=TraceState([("a", "b")])
    )
    [link] = our_span(make_span(links=[Link(context, {}, 0)])).links
    assert link.trace_state == "a=b"
    assert link.flags == 0b11_0000_0011


def test_the_exported_trace_state_wins_over_the_propagated_one() -> None:
    context = SpanContext(1, 2, is_remote=False, trace_state=TraceState([("ot", "th:8")]))
    kept = make_span(context=context, export_state=TraceState([("ot", "th:0")]))
    assert our_span(kept).trace_state == "ot=th:0"


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 2**64, 10**300])
def test_ints_beyond_64_bits_are_decimal_strings(value: int) -> None:
    assert attribute(value).string_value == str(value)
    assert attribute([value]).array_value.values[0].string_value == str(value)


def test_enormous_ints_are_hexadecimal_strings() -> None:
    assert attribute(-(2**20_000)).string_value == hex(-(2**20_000))


def test_lone_surrogates_are_replaced_wherever_text_stands() -> None:
    span = make_span(
        name="n\ud800",
        attributes={"k\udfff": "v\ud800w", "list": ["\ud800"]},
        events=[Event("e\ud800", {}, 1, 0)],
    )
    encoded = ours([span]).resource_spans[0].scope_spans[0].spans[0]
    assert encoded.name == "n\ufffd"
    assert encoded.events[0].name == "e\ufffd"
    plain, in_list = encoded.attributes
    assert (plain.key, plain.value.string_value) == ("k\ufffd", "v\ufffdw")
    assert in_list.value.array_value.values[0].string_value == "\ufffd"


def test_times_that_no_field_can_hold_lose_no_span() -> None:
    encoded = our_span(make_span(start_time=1.5e18, end_time=None))
    assert encoded.start_time_unix_nano == 1_500_000_000_000_000_000
    assert encoded.end_time_unix_nano == 0
    assert our_span(make_span(start_time=-5)).start_time_unix_nano == 0
    [event] = our_span(make_span(events=[Event("e", {}, -1, 0)])).events
    assert event.time_unix_nano == 0


def test_values_of_unknown_types_are_named_not_dropped() -> None:
    class Lazy:
        def __str__(self) -> str:
            raise AssertionError("evaluated")

    assert attribute(Lazy()).string_value.startswith("[unsupported: tests.unit.")


def test_what_is_nested_deeper_than_parsers_go_is_cut_off() -> None:
    value: Any = "bottom"
    for _ in range(200):
        value = {"in": value}
    found = attribute(value)
    for _ in range(MAX_DEPTH):
        found = found.kvlist_value.values[0].value
    assert found.string_value == TOO_DEEP


def test_what_is_just_deep_enough_arrives() -> None:
    value: Any = "bottom"
    for _ in range(MAX_DEPTH):
        value = {"in": value}
    found = attribute(value)
    for _ in range(MAX_DEPTH):
        found = found.kvlist_value.values[0].value
    assert found.string_value == "bottom"


def test_a_container_in_itself_is_cut_off() -> None:
    value: list[Any] = [1]
    value.append(value)
    found = attribute([value, value]).array_value.values
    assert [one.array_value.values[1].string_value for one in found] == [CIRCULAR, CIRCULAR]
