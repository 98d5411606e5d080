"""Requests through gunicorn."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.servers.serving import Server, gunicorn

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(scope="module", params=["sync", "gthread"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    threads = ["--threads=4"] if request.param == "gthread" else []
    with gunicorn(f"--worker-class={request.param}", "--workers=1", *threads) as server:
        yield server


def span_of(server: Server, trace_id: str, timeout_s: float = 10) -> dict[str, Any]:
    """The SERVER span of a trace, once it was exported."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        for span in server.collector.spans():
            if span["trace_id"] == trace_id:
                return span
        time.sleep(0.05)
    raise AssertionError(f"no span of trace {trace_id}")


def test_a_request_arrives_at_the_collector(server: Server) -> None:
    answer = server.get("/api/v1/articles/7/?q=secret", user_agent="tester")

    span = span_of(server, answer.headers["X-Request-ID"])
    assert span["name"] == "GET /api/v1/articles/<int:pk>/"
    assert span["kind"] == 2
    assert span["attributes"]["http.response.status_code"] == 200
    assert span["attributes"]["server.port"] == server.port
    assert span["attributes"]["client.address"] == "127.0.0.1"
    assert span["attributes"]["user_agent.original"] == "tester"
    assert span["resource"]["service.name"] == "tests"
    assert "secret" not in str(span)


def test_the_callers_trace_goes_on(server: Server) -> None:
    parent = f"00-{TRACE}-b7ad6b7169203331-01"
    answer = server.get("/plain/", traceparent=parent, x_request_id="abc-1")

    span = span_of(server, TRACE)
    assert answer.headers["X-Request-ID"] == "abc-1"
    assert span["parent_span_id"] == "b7ad6b7169203331"
    assert span["attributes"]["django.request_id"] == "abc-1"


def test_R1_a_streamed_responses_span_ends_with_the_stream(server: Server) -> None:
    answer = server.get("/stream/?pause=0.05")

    body: bytes = answer.body
    trace_id = answer.headers["X-Request-ID"]
    span = span_of(server, trace_id)
    assert body.decode().split() == [trace_id] * 3
    assert span["end_ns"] - span["start_ns"] >= 150_000_000


def test_a_file_goes_out_whole(server: Server) -> None:
    answer = server.get("/file/")

    assert len(answer.body) == 10_000
    assert span_of(server, answer.headers["X-Request-ID"])["name"] == "GET /file/"


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/raises/", 500, "ValueError"),
        ("/answers-500/", 500, "500"),
        ("/early/x/", 503, "503"),
        ("/nowhere/", 404, None),
    ],
)
def test_errors_are_told_apart(server: Server, path: str, status: int, error: str | None) -> None:
    answer = server.get(path)

    span = span_of(server, answer.headers["X-Request-ID"])
    assert span["attributes"]["http.response.status_code"] == status
    assert span["attributes"].get("error.type") == error
    assert span["status"]["code"] == (2 if error else 0)


def test_R3_a_refused_host_has_a_span(server: Server) -> None:
    answer = server.get("/plain/", host="evil.example")

    span = span_of(server, answer.headers["X-Request-ID"])
    assert span["name"] == "GET"
    assert span["attributes"]["http.response.status_code"] == 400


def test_a_client_that_leaves_amid_a_stream_ends_the_span(server: Server) -> None:
    before = len(server.collector.spans())
    server.ask_and_leave("/stream-long/", after_bytes=10)

    server.collector.wait_until(lambda found: found["unique"] > before)
    (span,) = (span for span in server.collector.spans() if span["name"] == "GET /stream-long/")
    assert span["attributes"]["django.client_disconnected"] is True


def test_recycled_preforked_workers_lose_and_double_nothing() -> None:
    with gunicorn("--preload", "--workers=4", "--max-requests=10") as server:
        ids = [server.get("/plain/").headers["X-Request-ID"] for _ in range(60)]
        server.collector.wait_for_spans(60)
        server.stop()
        spans = server.collector.spans()

    assert Counter(span["trace_id"] for span in spans) == Counter(ids)
    assert len({span["resource"]["service.instance.id"] for span in spans}) > 1
    assert {span["name"] for span in spans} == {"GET /plain/"}


def test_R6_requests_that_are_not_sampled_export_nothing() -> None:
    with gunicorn("--workers=1", OTEL_TRACES_SAMPLER="always_off") as server:
        answer = server.get("/plain/")
        server.stop()
        assert answer.status == 200
        assert server.collector.spans() == []
