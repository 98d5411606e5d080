"""Log records that other services send are stored as if they had been logged here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource

from otel_django import log_record
from otel_django.clock import SYSTEM_CLOCK
from otel_django.receiver.decoding import decode
from otel_django.store.log_rows import LogPacker, LogRows
from tests.unit.received import JSON, SPAN_ID, TRACE_ID, as_json, of_items, of_json, of_message
from tests.unit.test_otlp_logs import _spared, records, upstream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_django.log_record import LogRecord

slow_to_make = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
RESOURCE = Resource({"service.name": "shop", "process.pid": 7})


def rows(found: Sequence[LogRecord]) -> LogRows:
    return LogPacker(lambda: None).pack(found)


def one(**fields: Any) -> LogRecord:
    """The record of a request, the same in both encodings."""
    told = {"timeUnixNano": "1000000000", **fields}
    [from_json] = of_json("logs", told, service__name="shop").records
    [found] = of_items("logs", told, service__name="shop").records
    assert rows([from_json]) == rows([found])
    return found


@slow_to_make
@given(st.lists(records, max_size=4))
def test_what_upstreams_encoder_sends_is_stored_as_if_logged_here(batch: list[LogRecord]) -> None:
    for each in batch:
        each.resource, each.scope_name, each.scope_version = RESOURCE, "shop.orders", "1"
        each.time_ns = each.time_ns or 1
        each.severity_number = each.severity_number or 9
        each.severity_text, each.event_name = each.severity_text[:500], each.event_name[:500]
    message = upstream(batch)
    own = rows([_spared(each) for each in batch])
    for found in (of_message("logs", message), decode("logs", JSON, as_json(message))):
        assert (found.rejected, found.message) == (0, "")
        assert rows(found.records) == own


@pytest.mark.parametrize(
    ("value", "body"),
    [
        ({"stringValue": "paid"}, "paid"),
        ({"boolValue": True}, True),
        ({"intValue": "-7"}, -7),
        ({"doubleValue": 1.5}, 1.5),
        ({"doubleValue": "Infinity"}, float("inf")),
        ({"bytesValue": "AP8="}, b"\x00\xff"),
        ({"arrayValue": {"values": [{"intValue": 1}, {}]}}, [1, None]),
        ({"arrayValue": {}}, []),
        ({"kvlistValue": {"values": [{"key": "a", "value": {"stringValue": ""}}]}}, {"a": ""}),
        ({}, None),
    ],
)
def test_a_body_may_be_of_any_kind(value: dict[str, Any], body: object) -> None:
    assert one(body=value).body == body


def test_no_time_is_when_it_was_observed_and_else_now() -> None:
    assert one(timeUnixNano=0, observedTimeUnixNano=5).time_ns == 5
    before = SYSTEM_CLOCK.now_ns()
    [found] = of_json("logs", {"body": {"stringValue": "a"}}).records
    assert before <= found.time_ns <= SYSTEM_CLOCK.now_ns()


@pytest.mark.parametrize(
    ("number", "text", "severity"),
    [
        (17, "ERROR", log_record.ERROR),
        (18, "", 18),
        (0, "Warning", log_record.WARN),
        (0, "loud", 0),
        (99, "FATAL", log_record.FATAL),
        (-3, "", 0),
    ],
)
def test_a_severity_is_its_number_or_else_its_word(number: int, text: str, severity: int) -> None:
    found = one(severityNumber=number, severityText=text)
    assert (found.severity_number, found.severity_text) == (severity, text)


def test_a_record_is_of_its_span_unless_the_ids_arent_any() -> None:
    found = one(traceId=TRACE_ID, spanId=SPAN_ID, eventName="order.placed", flags=1)
    assert (found.trace_id, found.span_id) == (int(TRACE_ID, 16), int(SPAN_ID, 16))
    assert (found.event_name, found.trace_flags) == ("order.placed", 1)
    broken = one(traceId="abcd", spanId="00" * 8)
    assert (broken.trace_id, broken.span_id) == (0, 0)


def test_control_characters_stay_text() -> None:
    text = "\x1b[31mred\x00\u202e"
    assert one(body={"stringValue": text}).body == text
