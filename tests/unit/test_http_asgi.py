"""Requests over raw ASGI, as a server hands them to Django."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Iterator
from typing import Any

import django
import pytest
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.handlers.asgi import ASGIHandler
from django.test import AsyncClient
from opentelemetry.trace import StatusCode

from tests.requests_kit import Traced, traced_requests
from tests.site import views

# Django 5.2 leaves the request's body open when its handler is left by an exception.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

NOTICES_DISCONNECTS = django.VERSION >= (5, 0)


@pytest.fixture
def traced() -> Iterator[Traced]:
    logging.getLogger("django.request").setLevel(logging.CRITICAL)
    with traced_requests() as traced:
        views.EVENTS.clear()
        yield traced
    gc.collect()
    logging.getLogger("django.request").setLevel(logging.NOTSET)


class Server:
    """The server's side of one request: the client leaves after ``leaves_after`` messages."""

    def __init__(self, path: str, leaves_after: int | None = None, **scope: Any) -> None:
        self.scope = {
            "type": "http",
            "http_version": "2",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"localhost:8001")],
            "client": ("127.0.0.1", 5000),
            "server": ("127.0.0.1", 8001),
            **scope,
        }
        self.sent: list[Any] = []
        self.leaves_after = leaves_after
        self.body_given = False
        self.gone = asyncio.Event()
        if leaves_after == 0:
            self.gone.set()

    async def receive(self) -> dict[str, Any]:
        if not self.body_given:
            self.body_given = True
            return {"type": "http.request", "body": b"", "more_body": False}
        while self.leaves_after == 0 and not views.EVENTS:  # noqa: ASYNC110 - a list, no event
            await asyncio.sleep(0.01)  # until the view has started
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)
        if self.leaves_after is not None and len(self.sent) >= self.leaves_after:
            self.gone.set()
        await asyncio.sleep(0)

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


def serve(path: str, leaves_after: int | None = None, **scope: Any) -> Server:
    async def run() -> Server:
        server = Server(path, leaves_after, **scope)
        await ASGIHandler()(server.scope, server.receive, server.send)
        return server

    return asyncio.run(run())


def test_a_request_has_one_span(traced: Traced) -> None:
    server = serve("/api/v1/articles/7/comments/x/")

    assert server.status == 200
    assert traced.span._name == "GET /api/v1/articles/<int:pk>/comments/<slug:slug>/"
    assert traced.attributes["django.view"] == "tests.site.views.plain_async"
    assert traced.attributes["network.protocol.version"] == "2"
    assert traced.attributes["server.port"] == 8001
    assert traced.attributes["client.address"] == "127.0.0.1"
    headers = dict(server.sent[0]["headers"])
    assert headers[b"X-Request-ID"] == f"{traced.span._context.trace_id:032x}".encode()


@pytest.mark.parametrize("path", ["/current/", "/current-async/"])
def test_views_run_inside_the_span(traced: Traced, path: str) -> None:
    server = serve(path)

    assert f"{traced.span._context.span_id:016x}".encode() in server.body


@pytest.mark.parametrize("path", ["/stream-async/", "/stream/"])
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
def test_R1_a_streamed_body_is_inside_the_span(traced: Traced, path: str) -> None:
    server = serve(path)

    assert server.body == f"{traced.span._context.trace_id:032x}\n".encode() * 3
    assert traced.span._end_time - traced.span._start_time >= 30_000_000


def test_a_streamed_body_that_raises_is_an_error_recorded_once(traced: Traced) -> None:
    with pytest.raises(OSError, match="disk gone"):
        serve("/stream-async-raises/")

    assert traced.attributes["error.type"] == "OSError"
    assert traced.span._status.status_code is StatusCode.ERROR
    assert len(traced.span.events) == 1


def test_a_views_exception_is_on_the_span_once(traced: Traced) -> None:
    assert serve("/raises-async/").status == 500

    assert traced.attributes["error.type"] == "ValueError"
    assert len(traced.span.events) == 1


@pytest.mark.skipif(not NOTICES_DISCONNECTS, reason="Django 4.2 doesn't notice")
def test_R2_a_client_that_leaves_before_the_answer_ends_the_span(traced: Traced) -> None:
    serve("/slow-async/", leaves_after=0, query_string=b"s=5")

    assert views.EVENTS == ["view started", "view cancelled"]
    assert traced.span._name == "GET /slow-async/"
    assert traced.attributes["django.client_disconnected"] is True
    assert "http.response.status_code" not in traced.attributes
    assert traced.span._status.status_code is StatusCode.UNSET


@pytest.mark.skipif(not NOTICES_DISCONNECTS, reason="Django 4.2 doesn't notice")
def test_R2_a_client_that_leaves_amid_a_stream_ends_the_span(traced: Traced) -> None:
    serve("/stream-async/", leaves_after=2, query_string=b"pause=0.2")

    assert traced.attributes["django.client_disconnected"] is True
    assert traced.attributes["http.response.status_code"] == 200


def test_R2_a_client_that_leaves_while_it_sends_ends_the_span(traced: Traced) -> None:
    async def run() -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        server = Server("/plain/")
        await ASGIHandler()(server.scope, receive, server.send)

    asyncio.run(run())

    assert traced.span._name == "GET"
    assert traced.attributes["django.client_disconnected"] is True


def test_R2_a_server_that_cancels_ends_the_span(traced: Traced) -> None:
    async def run() -> None:
        server = Server("/slow-async/", query_string=b"s=5")
        task = asyncio.ensure_future(ASGIHandler()(server.scope, server.receive, server.send))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())

    assert traced.span._end_time is not None


def test_R2_a_connection_that_breaks_while_sending_ends_the_span(traced: Traced) -> None:
    class Broken(Server):
        async def send(self, message: Any) -> None:
            raise ConnectionResetError("gone")

    async def run() -> None:
        server = Broken("/plain/")
        with pytest.raises(ConnectionResetError):
            await ASGIHandler()(server.scope, server.receive, server.send)

    asyncio.run(run())

    assert traced.attributes["django.client_disconnected"] is True
    assert traced.span._status.status_code is StatusCode.UNSET


def test_R3_a_request_that_is_refused_before_it_is_parsed_has_a_span(
    traced: Traced, settings_changed: Any
) -> None:
    from django.core.exceptions import RequestDataTooBig

    class Strict(ASGIHandler):
        def request_class(self, scope: Any, body: Any) -> Any:  # type: ignore[override]
            raise RequestDataTooBig

    async def run() -> Server:
        server = Server("/plain/")
        await Strict()(server.scope, server.receive, server.send)
        return server

    assert asyncio.run(run()).status == 413
    assert traced.attributes["http.response.status_code"] == 413
    assert "django.client_disconnected" not in traced.attributes


def test_static_files_in_front_of_the_site_have_no_span(traced: Traced) -> None:
    async def run() -> Server:
        server = Server("/static/none.css")
        await ASGIStaticFilesHandler(ASGIHandler())(server.scope, server.receive, server.send)
        return server

    assert asyncio.run(run()).status == 404
    assert traced.spans == []


def test_health_paths_have_no_span(traced: Traced) -> None:
    assert serve("/livez").status == 200
    assert traced.spans == []


def test_concurrent_requests_do_not_mix(traced: Traced) -> None:
    async def run() -> list[Server]:
        handler = ASGIHandler()
        servers = [Server("/current-async/") for _ in range(20)]
        await asyncio.gather(*(handler(s.scope, s.receive, s.send) for s in servers))
        return servers

    servers = asyncio.run(run())
    shown = {server.body.split(b'"trace_id": "')[1][:32].decode() for server in servers}
    assert shown == {f"{span._context.trace_id:032x}" for span in traced.spans}
    assert len(shown) == 20


def test_the_asynchronous_test_client_has_spans_too(traced: Traced) -> None:
    async def run() -> Any:
        return await AsyncClient(raise_request_exception=False).get("/raises-async/")

    assert asyncio.run(run()).status_code == 500
    assert traced.span._name == "GET /raises-async/"
    assert traced.attributes["error.type"] == "ValueError"


def test_a_request_made_inside_a_view_is_a_request_of_its_own(traced: Traced) -> None:
    async def run() -> Server:
        server = Server("/nested-async/")
        await ASGIHandler()(server.scope, server.receive, server.send)
        return server

    assert asyncio.run(run()).status == 200
    inner, outer = traced.spans
    assert inner._name == "GET /plain/"
    assert outer._name == "GET /nested-async/"
    assert inner._parent is not None
    assert inner._parent.span_id == outer._context.span_id
