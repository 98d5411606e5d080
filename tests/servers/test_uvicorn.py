"""Requests through uvicorn, and clients that leave."""

from __future__ import annotations

from collections.abc import Iterator

import django
import pytest

from tests.servers.serving import Server, uvicorn
from tests.servers.test_gunicorn import span_of

needs_disconnects = pytest.mark.skipif(
    django.VERSION < (5, 0), reason="Django 4.2 doesn't notice a disconnect"
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with uvicorn() as server:
        yield server


@pytest.mark.parametrize("path", ["/plain/", "/plain-async/", "/methods-async/"])
def test_a_request_arrives_at_the_collector(server: Server, path: str) -> None:
    answer = server.get(path)

    span = span_of(server, answer.headers["X-Request-ID"])
    assert span["name"] == f"GET {path}"
    assert span["attributes"]["http.response.status_code"] == 200
    assert span["attributes"]["network.protocol.version"] == "1.1"
    assert span["attributes"]["server.port"] == server.port


def test_R1_a_streamed_responses_span_ends_with_the_stream(server: Server) -> None:
    answer = server.get("/stream-async/?pause=0.05")

    body: bytes = answer.body
    trace_id = answer.headers["X-Request-ID"]
    span = span_of(server, trace_id)
    assert body.decode().split() == [trace_id] * 3
    assert span["end_ns"] - span["start_ns"] >= 150_000_000


def test_a_views_exception_is_on_its_span(server: Server) -> None:
    answer = server.get("/raises-async/")

    span = span_of(server, answer.headers["X-Request-ID"])
    assert span["attributes"]["error.type"] == "ValueError"
    assert [event["name"] for event in span["events"]] == ["exception"]


@needs_disconnects
@pytest.mark.parametrize(
    ("path", "after_bytes"), [("/slow-async/?s=30", 0), ("/stream-async/?pause=10", 10)]
)
def test_R2_a_client_that_leaves_ends_the_span(server: Server, path: str, after_bytes: int) -> None:
    before = server.collector.counts()["unique"]
    server.ask_and_leave(path, after_bytes)

    server.collector.wait_until(lambda found: found["unique"] > before)
    name = f"GET {path.partition('?')[0]}"
    span = [span for span in server.collector.spans() if span["name"] == name][-1]
    assert span["attributes"]["django.client_disconnected"] is True
    assert span["status"]["code"] == 0
    assert span["end_ns"] - span["start_ns"] < 9_000_000_000
