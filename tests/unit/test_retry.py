"""The retry policy of the OTLP specification, and where data matters more than its letter."""

from __future__ import annotations

import contextlib
import random

import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otel_django.pipeline.otlp_answers import partial_success, readable
from otel_django.pipeline.protobuf_reader import fields
from otel_django.pipeline.retry import (
    MAX_DELAY_S,
    MAX_RETRY_AFTER_S,
    MIN_DELAY_S,
    Backoff,
    Outcome,
    judge_grpc,
    judge_http,
    retry_after_s,
)
from tests.delivery_kit import Midway

PROTOBUF = {"content-type": "application/x-protobuf"}
HTML = {"content-type": "text/html; charset=utf-8"}


def outcome(status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> Outcome:
    return judge_http(status, PROTOBUF if headers is None else headers, body, 0.0).outcome


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *[(code, Outcome.DELIVERED) for code in (200, 202, 204)],
        *[(code, Outcome.RETRY) for code in (301, 302, 307, 308, 429, 502, 503, 504)],
        *[(code, Outcome.REJECTED) for code in (400, 401, 403, 404, 405, 408, 415, 500, 501)],
        (413, Outcome.TOO_LARGE),
    ],
)
def test_a_status_means_what_the_specification_says(status: int, expected: Outcome) -> None:
    assert outcome(status) is expected


def test_a_page_of_html_is_no_delivery_whatever_its_status() -> None:
    assert outcome(200, HTML, b"<html>log in</html>") is Outcome.RETRY
    assert outcome(200, {}, b"  <!DOCTYPE html><title>log in</title>") is Outcome.RETRY


def test_an_answer_that_cannot_be_read_still_counts_as_delivered() -> None:
    assert outcome(200, PROTOBUF, b"\xff\xff\xff\xff") is Outcome.DELIVERED
    assert outcome(200, {"content-type": "application/json"}, b"{}") is Outcome.DELIVERED


def test_P3_partial_success_is_read() -> None:
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 7
    answer.partial_success.error_message = "too\nold"
    verdict = judge_http(200, PROTOBUF, answer.SerializeToString(), 0.0)
    assert (verdict.outcome, verdict.rejected, verdict.message) == (
        Outcome.DELIVERED,
        7,
        "too old",
    )


def test_the_text_of_a_refusal_is_told() -> None:
    body = status_pb2.Status(code=3, message="no such field").SerializeToString()
    assert judge_http(400, PROTOBUF, body, 0.0).message == "HTTP 400: no such field"


def test_retry_after_takes_seconds_and_dates() -> None:
    now_s = 1_445_412_480.0  # Wed, 21 Oct 2015 07:28:00 GMT
    assert retry_after_s("17", now_s) == 17
    assert retry_after_s("Wed, 21 Oct 2015 07:28:30 GMT", now_s) == 30
    assert retry_after_s("Wed, 21 Oct 2015 07:00:00 GMT", now_s) == 0
    assert retry_after_s("999999999999", now_s) == MAX_RETRY_AFTER_S
    assert [retry_after_s(odd, now_s) for odd in ("", "soon", "-1", "²")] == [None] * 4
    verdict = judge_http(429, {"retry-after": "3"}, b"", now_s)
    assert verdict.retry_after_s == 3


@pytest.mark.parametrize(
    "code",
    ["CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"],
)
def test_grpc_retries_the_listed_codes(code: str) -> None:
    assert judge_grpc(code, "").outcome is Outcome.RETRY


@pytest.mark.parametrize(
    "code", ["INVALID_ARGUMENT", "UNAUTHENTICATED", "UNIMPLEMENTED", "INTERNAL", "UNKNOWN"]
)
def test_grpc_gives_up_on_the_others(code: str) -> None:
    assert judge_grpc(code, "").outcome is Outcome.REJECTED


def test_grpc_resource_exhausted_is_retried_only_with_retry_info() -> None:
    status = status_pb2.Status(code=8)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="quota"))
    assert judge_grpc("RESOURCE_EXHAUSTED", "", status.SerializeToString()).outcome is (
        Outcome.REJECTED
    )
    delay = Duration(seconds=2, nanos=500_000_000)
    status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    verdict = judge_grpc("RESOURCE_EXHAUSTED", "", status.SerializeToString())
    assert (verdict.outcome, verdict.retry_after_s) == (Outcome.RETRY, 2.5)


def test_grpc_says_too_large_in_words() -> None:
    text = "grpc: received message larger than max (5000000 vs. 4194304)"
    assert judge_grpc("RESOURCE_EXHAUSTED", text).outcome is Outcome.TOO_LARGE


def test_backoff_grows_to_five_seconds_and_starts_again_after_success() -> None:
    backoff = Backoff(Midway())
    waits = []
    for _ in range(5):
        backoff.failed(100.0)
        waits.append(backoff.wait_s(100.0))
    assert waits == pytest.approx([0.55, 1.05, 2.05, 2.55, 2.55])
    assert backoff.wait_s(200.0) == 0
    backoff.succeeded()
    assert not backoff.failing
    assert backoff.wait_s(100.0) == 0


@given(st.integers(0, 2**32), st.integers(1, 50))
def test_the_end_of_an_outage_is_noticed_within_five_seconds(seed: int, failures: int) -> None:
    backoff = Backoff(random.Random(seed))
    for _ in range(failures):
        backoff.failed(0.0)
        assert MIN_DELAY_S <= backoff.wait_s(0.0) <= MAX_DELAY_S


def test_a_receivers_wish_is_a_minimum() -> None:
    backoff = Backoff(Midway())
    backoff.failed(0.0, 30.0)
    assert 30.0 <= backoff.wait_s(0.0) < 30.2


@given(st.binary(max_size=200))
def test_no_answer_breaks_the_reader(data: bytes) -> None:
    try:
        found = list(fields(data))
    except ValueError:
        found = []
    assert sum(len(whole) for *_, whole in found) in (0, len(data))
    with contextlib.suppress(ValueError):
        assert partial_success(data).rejected >= 0
    assert judge_grpc("RESOURCE_EXHAUSTED", "", data).outcome in Outcome


@given(st.text())
def test_what_a_receiver_says_becomes_one_short_printable_line(text: str) -> None:
    line = readable(text)
    assert len(line) <= 300
    assert line == "" or line.isprintable()
