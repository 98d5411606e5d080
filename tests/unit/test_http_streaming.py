"""Streamed bodies, files, and what a server does with a response."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any
from wsgiref.util import FileWrapper

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.test import AsyncClient, Client
from opentelemetry.trace import StatusCode

from tests.requests_kit import Traced, traced_requests
from tests.site import views


@pytest.fixture
def traced() -> Iterator[Traced]:
    with traced_requests() as traced:
        views.EVENTS.clear()
        yield traced


def serve(path: str, **environ: Any) -> Any:
    """What a WSGI server gets from the application."""
    return WSGIHandler()(
        {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": path,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(),
            **environ,
        },
        lambda *_: None,
    )


def test_R1_a_streamed_responses_span_ends_with_the_stream(traced: Traced) -> None:
    response = serve("/stream/")
    chunks = iter(response)
    first = next(chunks)

    assert traced.spans == []
    rest = list(chunks)
    assert traced.spans == []
    response.close()

    assert len(traced.span._name) > 0
    assert traced.span._end_time - traced.span._start_time >= 30_000_000  # three pauses of 10 ms
    assert "django.client_disconnected" not in traced.attributes
    assert {first, *rest} == {f"{traced.span._context.trace_id:032x}\n".encode()}


async def read_async(path: str) -> bytes:
    response: Any = await AsyncClient().get(path)
    return b"".join([chunk async for chunk in response.streaming_content])


@pytest.mark.parametrize("path", ["/stream-async/"])
def test_R1_an_async_iterators_span_ends_with_the_stream(traced: Traced, path: str) -> None:
    import asyncio

    body = asyncio.run(read_async(path))

    assert traced.span._end_time - traced.span._start_time >= 30_000_000
    assert body == f"{traced.span._context.trace_id:032x}\n".encode() * 3


def test_a_stream_that_is_not_sampled_still_knows_its_trace() -> None:
    with traced_requests("always_off") as traced:
        response: Any = Client().get("/stream/")
        body = b"".join(response.streaming_content)

    assert body.decode().split() == [response["X-Request-ID"]] * 3
    assert traced.spans == []


def test_a_stream_that_is_broken_off_ends_the_span_and_says_so(traced: Traced) -> None:
    response = serve("/stream/")
    next(iter(response))
    response.close()

    assert traced.attributes["django.client_disconnected"] is True
    assert traced.attributes["http.response.status_code"] == 200
    assert traced.span._status.status_code is StatusCode.UNSET
    assert views.EVENTS == ["stream closed"]


def test_a_stream_that_raises_is_an_error_recorded_once(traced: Traced) -> None:
    response = serve("/stream-raises/")
    with pytest.raises(OSError, match="disk gone"):
        list(response)
    response.close()

    assert traced.attributes["error.type"] == "OSError"
    assert traced.span._status.status_code is StatusCode.ERROR
    assert len(traced.span.events) == 1
    assert "django.client_disconnected" not in traced.attributes


def test_a_list_can_be_streamed(traced: Traced) -> None:
    response: Any = Client().get("/stream-list/")

    assert b"".join(response.streaming_content) == b"ab"
    assert traced.span._name == "GET /stream-list/"


def test_a_head_of_a_stream_is_no_disconnect(traced: Traced) -> None:
    response: Any = Client().head("/stream/")
    b"".join(response.streaming_content)
    response.close()

    assert "django.client_disconnected" not in traced.attributes


def test_a_file_is_left_to_the_servers_sendfile(traced: Traced) -> None:
    response = serve("/file/", **{"wsgi.file_wrapper": FileWrapper})

    assert isinstance(response, FileWrapper)
    assert len(b"".join(response)) == 10_000
    assert traced.spans == []
    response.close()
    assert traced.span._name == "GET /file/"


def test_closing_twice_ends_the_span_once(traced: Traced) -> None:
    response = serve("/plain/")
    response.close()
    response.close()

    assert traced.span._name == "GET /plain/"


def test_the_servers_thread_is_left_without_a_current_span(traced: Traced) -> None:
    from opentelemetry import trace

    response = serve("/stream/")
    assert not trace.get_current_span().get_span_context().is_valid
    next(iter(response))
    assert not trace.get_current_span().get_span_context().is_valid
    response.close()
