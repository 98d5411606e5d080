"""Encoded log records are upstream's messages, but for upstream's faults."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord as LogRecordMessage
from opentelemetry.sdk.resources import Resource

from otel_django.log_record import LogRecord
from otel_django.pipeline.otlp_logs import encode_request
from otel_django.pipeline.sdk_logs import readable
from tests.unit.otlp_spans import (
    attributes,
    counts,
    resources,
    spared,
    texts,
    times,
    values,
    without_surrogates,
)

slow_to_make = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def make_record(**changes: Any) -> LogRecord:
    usual: dict[str, Any] = {
        "time_ns": 1_000,
        "severity_number": 9,
        "severity_text": "INFO",
        "body": "order placed",
        "attributes": {},
        "resource": Resource({"service.name": "shop"}),
    }
    return LogRecord(**{**usual, **changes})


records = st.builds(
    make_record,
    time_ns=times,
    observed_ns=times,
    severity_number=st.integers(0, 24),
    severity_text=texts,
    body=values,
    attributes=attributes,
    resource=resources,
    event_name=texts,
    scope_name=texts,
    scope_version=st.sampled_from(["", "1"]),
    trace_id=st.just(0) | st.integers(1, 2**128 - 1),
    span_id=st.just(0) | st.integers(1, 2**64 - 1),
    trace_flags=st.integers(0, 255),
)


def ours(batch: Sequence[LogRecord]) -> ExportLogsServiceRequest:
    """Our bytes, read by protobuf."""
    return ExportLogsServiceRequest.FromString(encode_request(batch))


def ours_alone(record: LogRecord) -> LogRecordMessage:
    message = ours([record]).resource_logs[0].scope_logs[0].log_records[0]
    assert isinstance(message, LogRecordMessage)
    return message


def upstream(batch: Sequence[LogRecord]) -> ExportLogsServiceRequest:
    """What upstream makes of ``batch``.

    Spared are, besides the faults that test_otlp_upstream_faults.py lists, bodies and names that it
    can't encode: ints beyond 64 bits and lone surrogates raise there, and the batch is lost.
    """
    message: ExportLogsServiceRequest = encode_logs([readable(_spared(one)) for one in batch])
    return message


def _spared(record: LogRecord) -> LogRecord:
    copied = copy.copy(record)
    copied.body = spared(record.body)
    copied.attributes = spared(record.attributes)
    copied.severity_text = without_surrogates(record.severity_text)
    copied.event_name = without_surrogates(record.event_name)
    copied.scope_name = without_surrogates(record.scope_name)
    return copied


def comparable(message: ExportLogsServiceRequest) -> bytes:
    return message.SerializeToString(deterministic=True)


@slow_to_make
@given(st.lists(records, max_size=5))
def test_any_batch_parses_to_upstreams_message(batch: Sequence[LogRecord]) -> None:
    assert comparable(ours(batch)) == comparable(upstream(batch))


@slow_to_make
@given(records, counts)
def test_the_count_of_dropped_attributes_is_written(record: LogRecord, count: int) -> None:
    record.dropped_attributes = count
    assert ours_alone(record).dropped_attributes_count == count


def test_no_records_are_an_empty_request() -> None:
    assert encode_request([]) == b""


def test_equal_resources_and_scopes_are_one_group() -> None:
    batch = [
        make_record(
            resource=Resource(
                {"service.name": "shop", "a": 1} if n % 2 else {"a": 1, "service.name": "shop"}
            ),
            scope_name="billing" if n < 2 else "shop",
        )
        for n in range(4)
    ]
    [resource] = ours(batch).resource_logs
    assert [len(scope.log_records) for scope in resource.scope_logs] == [2, 2]


@pytest.mark.parametrize("body", [2**64, "\ud800", {"k\udfff": [2**70]}])
def test_a_body_that_upstream_loses_the_batch_over_arrives(body: object) -> None:
    with pytest.raises((ValueError, UnicodeEncodeError)):
        encode_logs([readable(make_record(body=body))])
    assert ours_alone(make_record(body=body)).HasField("body")


def test_numbers_that_no_field_can_hold_lose_no_record() -> None:
    encoded = ours_alone(
        make_record(time_ns=1.5e18, observed_ns=-1, severity_number=300, trace_flags=0x1FF)
    )
    assert encoded.time_unix_nano == 1_500_000_000_000_000_000
    assert encoded.observed_time_unix_nano == 0
    assert encoded.severity_number == 0
    assert encoded.flags == 0xFF


def test_a_record_that_cant_be_encoded_costs_no_other() -> None:
    errors: list[Exception] = []
    broken = make_record(attributes=object())
    request = encode_request([make_record(), broken, make_record()], failed=errors.append)
    assert request == encode_request([make_record(), make_record()])
    assert len(errors) == 1


def test_a_record_that_cant_be_encoded_is_an_error_if_nobody_is_to_be_told() -> None:
    with pytest.raises(TypeError):
        encode_request([make_record(attributes=object())])
