"""Whatever is sent, decoding ends: with what can be kept, or saying that it is no OTLP."""

from __future__ import annotations

import json
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_django.pipeline.protobuf import varint
from otel_django.receiver import decoding, decoding_json, decoding_protobuf
from otel_django.receiver.decoded import Decoded, DecodeError, Signal
from otel_django.receiver.decoding import decode
from otel_django.store.log_rows import LogPacker
from otel_django.store.metric_rows import MetricPacker, TakenPoint
from otel_django.store.rows import Packer
from tests.unit.received import JSON, PROTOBUF, SPAN_ID, TRACE_ID, attribute, request, span

slow_to_make = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
MB = 1024 * 1024
MANY = 2 * decoding_protobuf.MAX_PARTS
SIGNALS: tuple[Signal, ...] = ("traces", "metrics", "logs")
IDS = b"\x0a\x10" + bytes.fromhex(TRACE_ID) + b"\x12\x08" + bytes.fromhex(SPAN_ID)
signals = st.sampled_from(SIGNALS)


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def envelope(items: bytes, resource: bytes = b"") -> bytes:
    return field(1, field(1, resource) + field(2, items))


def some_request(signal: Signal) -> bytes:
    """One of everything."""
    value = field(5, field(1, field(1, b"x")) + field(1, b"\x18\x07"))
    labels = field(1, b"k") + field(2, value)
    item = {
        "traces": IDS + field(5, b"GET /") + field(9, labels) + field(11, field(2, b"e")),
        "metrics": field(1, b"m") + field(9, field(1, field(9, labels)) + b"\x10\x02"),
        "logs": field(5, field(1, b"said")) + field(6, labels),
    }[signal]
    return envelope(field(2, item) * 3, field(1, labels))


def kept(found: Decoded) -> None:
    """The store can make rows of it."""
    Packer(lambda: None).pack(found.spans)
    LogPacker(lambda: None).pack(found.records)
    taken = [
        TakenPoint(part.resource, metric, point)
        for part in found.points
        for metric in part.metrics
        for point in metric.points
    ]
    MetricPacker(lambda: None).pack(taken)


def ends(signal: Signal, content_type: str, body: bytes) -> None:
    with suppress(DecodeError):
        found = decode(signal, content_type, body)
        kept(found)
        assert bool(found.rejected) == bool(found.message)


@slow_to_make
@given(signals, st.sampled_from([PROTOBUF, JSON]), st.binary(max_size=200))
def test_random_bytes(signal: Signal, content_type: str, body: bytes) -> None:
    ends(signal, content_type, body)


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_request_cut_anywhere(signal: Signal) -> None:
    body = some_request(signal)
    kept(decode(signal, PROTOBUF, body))
    for size in range(len(body)):
        ends(signal, PROTOBUF, body[:size])


@slow_to_make
@given(signals, st.data())
def test_a_request_with_any_byte_changed(signal: Signal, data: st.DataObject) -> None:
    body = bytearray(some_request(signal))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    ends(signal, PROTOBUF, bytes(body))


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@slow_to_make
@given(signals, st.data())
def test_json_with_any_value_in_any_place(signal: Signal, data: st.DataObject) -> None:
    items: dict[Signal, dict[str, Any]] = {
        "traces": span(attributes=[attribute("k", "v")], events=[{}], status={"code": 2}),
        "metrics": {
            "name": "m",
            "sum": {"aggregationTemporality": 2, "dataPoints": [{"asInt": 1, "exemplars": [{}]}]},
        },
        "logs": {"body": {"kvlistValue": {"values": [attribute("k", "v")]}}, "traceId": TRACE_ID},
    }
    found: Any = request(signal, items[signal])
    place: Any = found
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            break
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or data.draw(st.integers(0, 5)) == 0:
            place[key] = data.draw(anything)
            break
        place = place[key]
    ends(signal, JSON, json.dumps(found).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"resourceSpans": 1}',
        b'{"resourceSpans": [1]}',
        b'{"resourceSpans": [{"scopeSpans": {}}]}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a": ' + b"1" * 100_000 + b"}",
        b"\x0a\x00",
    ],
)
def test_json_that_is_no_request_is_an_error(body: bytes) -> None:
    with pytest.raises(DecodeError):
        decode("traces", JSON, body)


def test_json_nested_ten_thousand_deep_is_an_error_or_cut() -> None:
    value = '{"arrayValue":{"values":[' * 10_000 + "{}" + "]}}" * 10_000
    body = json.dumps(request("logs", {"body": "VALUE"})).replace('"VALUE"', value)
    ends("logs", JSON, body.encode())


def test_protobuf_nested_too_deeply_costs_that_item_only() -> None:
    value = b""
    for _ in range(2_000):
        value = field(5, field(1, value))
    body = envelope(field(2, field(5, value)) + field(2, b""))
    found = decode("logs", PROTOBUF, body)
    assert (len(found.records), found.rejected) == (1, 1)


@pytest.mark.parametrize(
    ("signal", "body"),
    [
        ("traces", envelope(b"\x12\x00" * MANY)),
        ("traces", b"\x0a\x00" * MANY),
        ("metrics", envelope(field(2, field(1, b"m") + field(5, b"\x0a\x00" * MB)))),
    ],
)
def test_very_many_empty_parts_are_refused_before_they_fill_the_memory(
    signal: Signal, body: bytes
) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match="smaller batches"):
            decode(signal, PROTOBUF, body)
        assert tracemalloc.get_traced_memory()[1] < 200 * MB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("extra", [b"{}," * MB, b"1," * 4 * MB])
def test_json_of_too_many_values_is_refused_before_it_is_read(extra: bytes) -> None:
    with pytest.raises(DecodeError, match=decoding_json.TOO_MANY):
        decode("logs", JSON, b'{"a":[' + extra + b"0]}")


def test_what_is_larger_than_an_item_may_be_is_rejected_alone() -> None:
    large = field(2, field(5, field(1, b"x" * decoding_protobuf.MAX_ITEM_BYTES)))
    found = decode("logs", PROTOBUF, envelope(large + field(2, b"")))
    assert (len(found.records), found.rejected) == (1, 1)
    assert found.message == "1 log record: larger than 4 MB"


def test_a_resource_that_cant_be_read_costs_what_is_its_own_only() -> None:
    broken = field(1, field(1, b"\xff"))
    point = field(1, b"\x19" + bytes(8) + b"\x31" + bytes(8))
    metric = field(2, field(1, b"m") + field(5, point * 3))
    found = decode("metrics", PROTOBUF, envelope(metric, broken) + envelope(metric))
    assert found.rejected == 3
    assert sum(len(metric.points) for part in found.points for metric in part.metrics) == 3


@pytest.mark.parametrize("signal", ["traces", "logs"])
def test_no_more_items_than_are_written_soon_are_taken(
    signal: Signal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "MAX_ITEMS", 100)
    most = envelope(field(2, IDS) * decoding.MAX_ITEMS)
    found = decode(signal, PROTOBUF, most)
    assert len(found.spans or found.records) == decoding.MAX_ITEMS
    with pytest.raises(DecodeError, match="more than 100 items: send smaller batches"):
        decode(signal, PROTOBUF, envelope(field(2, IDS)) + most)


def test_a_metrics_points_are_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_ITEMS", 100)
    point = field(1, b"\x19" + bytes(8) + b"\x31" + bytes(8))
    metric = field(2, field(1, b"m") + field(5, point * (decoding.MAX_ITEMS // 2 + 1)))
    assert decode("metrics", PROTOBUF, envelope(metric)).points
    with pytest.raises(DecodeError, match="more than 100 items"):
        decode("metrics", PROTOBUF, envelope(metric * 2))


@pytest.mark.parametrize("items", [b"", field(2, IDS)])
def test_what_takes_too_much_of_the_processor_is_refused(
    items: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "MAX_WORK_S", 0.0)
    with pytest.raises(DecodeError, match="takes too long"):
        decode("traces", PROTOBUF, envelope(items) * 1_000)


def test_an_encoding_that_is_none_is_an_error() -> None:
    with pytest.raises(DecodeError, match="text/plain"):
        decode("traces", "text/plain", b"")
    assert decode("traces", "application/json; charset=utf-8", b"{}") == Decoded(spans=[])


def test_times_that_no_column_holds_and_metrics_without_one_are_kept() -> None:
    late = span(startTimeUnixNano=str(2**64 - 1), endTimeUnixNano="0")
    kept(decode("traces", JSON, json.dumps(request("traces", late)).encode()))
    gauge = {"name": "m", "gauge": {"dataPoints": [{"asInt": 1}]}}
    found = decode("metrics", JSON, json.dumps(request("metrics", gauge)).encode())
    kept(found)
    assert found.points[0].metrics[0].points[0].time_ns > 0
