"""``ot=th`` is written into any tracestate, within the limits of W3C Trace Context."""

from __future__ import annotations

import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.trace import SpanContext, TraceFlags
from opentelemetry.trace.span import TraceState

from otel_django.tracing import samplers

# What W3C Trace Context allows in a value: printable ASCII without comma and equals sign.
_value = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters=",="),
    min_size=1,
    max_size=256,
).filter(lambda text: text[-1] != " ")
_ot = st.one_of(
    _value,
    st.lists(
        st.sampled_from(["th:8", "th:zz", "th:", "rv:00000000000001", "rv:+1234567890ab", "x:y"]),
        min_size=1,
    ).map(";".join),
).filter(lambda text: len(text) <= 256)


def state_of(ot: str | None, others: int) -> TraceState:
    entries = [(f"vendor{number}", "x") for number in range(others)]
    if ot is not None:
        entries.insert(others // 2, (samplers.OT, ot))
    return TraceState(entries)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ot=st.none() | _ot,
    others=st.integers(0, 31) | st.sampled_from([30, 31, 32]),
    ratio=st.sampled_from([1.0, 0.3, 0.01]),
    trace_id=st.integers(1, 2**128 - 1),
)
def test_any_tracestate_gets_its_threshold_and_stays_valid(
    ot: str | None, others: int, ratio: float, trace_id: int, caplog: pytest.LogCaptureFixture
) -> None:
    if ot is not None:
        others = min(others, 31)
    parent = SpanContext(trace_id, 7, True, TraceFlags(3), state_of(ot, others))
    sampler = samplers.Ratio(ratio)
    with caplog.at_level(logging.DEBUG, "opentelemetry"):
        caplog.clear()
        sampled, state = sampler.head(parent, trace_id)
    assert caplog.records == []  # the API grumbles about what it doesn't take
    assert TraceState.from_header([state.to_header()]).to_header() == state.to_header()
    threshold = samplers.ot_members(state).get("th")
    assert threshold == (samplers.encode_threshold(sampler.threshold) if sampled else None)
    kept = [key for key in parent.trace_state if key in state and key != samplers.OT]
    assert len(kept) >= others - 1


def test_the_oldest_entry_makes_room_in_a_full_tracestate() -> None:
    state = samplers.with_threshold(state_of(None, 32), 0)
    assert list(state)[:2] == ["ot", "vendor0"]
    assert len(state) == 32
    assert "vendor31" not in state


def test_an_entry_without_room_for_the_threshold_loses_what_nobody_reads() -> None:
    full = f"rv:00000000000001;x:{'a' * 236}"
    state = samplers.with_threshold(TraceState([("ot", full)]), 1 << 55)
    assert samplers.ot_members(state) == {"rv": "00000000000001", "th": "8"}


@pytest.mark.parametrize("value", ["0x12345678901", "+1234567890123", "1_2345678901_2", "00AB"])
def test_a_malformed_randomness_value_is_no_randomness(value: str) -> None:
    assert samplers.randomness(0x5, {"rv": value}) == 0x5
