"""Cutting encoded requests without decoding their items."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_django.pipeline.otlp_split import Chunk, split
from tests.delivery_kit import encode, numbers


def test_the_parts_hold_the_same_spans_in_the_same_order_within_the_limit() -> None:
    chunk = Chunk(encode(range(1000), padding=100), 1000)
    found = split(chunk, 20_000)
    assert numbers(part.body for part in found) == list(range(1000))
    assert all(len(part.body) <= 20_000 for part in found)
    assert [part.items for part in found] == [len(numbers([part.body])) for part in found]


def test_what_is_small_enough_stays_as_it_is() -> None:
    chunk = Chunk(b"anything", 1)
    assert split(chunk, 100) == [chunk]


def test_a_single_item_is_never_cut() -> None:
    chunk = Chunk(encode([1], padding=5_000), 1)
    assert split(chunk, 100) == [chunk]


def test_resources_scopes_and_schema_urls_go_with_their_items() -> None:
    request = ExportTraceServiceRequest()
    for name in ("a", "b"):
        resource = request.resource_spans.add(schema_url=f"https://{name}.example")
        resource.resource.attributes.add(key="service.name").value.string_value = name
        for scope_name in ("x", "y"):
            scope = resource.scope_spans.add(schema_url=f"https://{scope_name}.example")
            scope.scope.name = scope_name
            for number in range(3):
                scope.spans.add(name=f"{name}{scope_name}{number}")
    seen = []
    for part in split(Chunk(request.SerializeToString(), 12), 1):
        one = ExportTraceServiceRequest.FromString(part.body)
        (resource,) = one.resource_spans
        (scope,) = resource.scope_spans
        (span,) = scope.spans
        service = resource.resource.attributes[0].value.string_value
        assert resource.schema_url == f"https://{service}.example"
        assert scope.schema_url == f"https://{scope.scope.name}.example"
        assert span.name.startswith(service + scope.scope.name)
        seen.append(span.name)
    assert seen == [f"{r}{s}{n}" for r in "ab" for s in "xy" for n in range(3)]


def test_log_records_are_cut_the_same_way() -> None:
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for number in range(10):
        scope.log_records.add(time_unix_nano=number)
    found = [
        ExportLogsServiceRequest.FromString(part.body).resource_logs[0].scope_logs[0].log_records
        for part in split(Chunk(request.SerializeToString(), 10), 30)
    ]
    assert [record.time_unix_nano for records in found for record in records] == list(range(10))


def test_what_is_no_request_is_refused() -> None:
    with pytest.raises(ValueError, match="not"):
        split(Chunk(b"\xff" * 100, 1), 10)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 2**63), max_size=40), st.integers(1, 3_000))
def test_nothing_is_lost_at_any_limit(spans: list[int], limit: int) -> None:
    found = split(Chunk(encode(spans), len(spans)), limit)
    assert numbers(part.body for part in found) == spans
