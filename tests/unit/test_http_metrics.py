"""What is measured of requests."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test import Client, RequestFactory, override_settings

from otel_django import metric_definitions as metrics
from otel_django.instrumentation.http_request import RequestTracing
from otel_django.metric_points import HistogramPoint
from tests.metrics_kit import Measured
from tests.requests_kit import traced_requests
from tests.site import views
from tests.unit.test_http_asgi import NOTICES_DISCONNECTS, Server, serve

if TYPE_CHECKING:
    from otel_django.instrumentation.http_served import ServedRequest

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

DURATION = metrics.HTTP_SERVER_REQUEST_DURATION
ACTIVE = metrics.HTTP_SERVER_ACTIVE_REQUESTS
BY_ROUTE = ("http.request.method", "http.route", "http.response.status_code", "error.type")


@pytest.fixture
def measured() -> Iterator[Measured]:
    logging.getLogger("django").setLevel(logging.CRITICAL)
    measured = Measured()
    views.EVENTS.clear()
    with traced_requests(recorder=measured.recorder):
        yield measured
    gc.collect()
    logging.getLogger("django").setLevel(logging.NOTSET)


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


def test_requests_are_counted_by_method_route_and_status(
    measured: Measured, client: Client
) -> None:
    for _ in range(3):
        client.get("/plain/")
    client.get("/api/v1/articles/7/")
    client.get("/api/v1/articles/8/")
    client.post("/methods/")
    client.get("/answers-500/")
    client.generic("FROB", "/plain/")

    assert measured.counts(DURATION, *BY_ROUTE) == {
        ("GET", "/plain/", 200, None): 3,
        ("GET", "/api/v1/articles/<int:pk>/", 200, None): 2,
        ("POST", "/methods/", 201, None): 1,
        ("GET", "/answers-500/", 500, "500"): 1,
        ("_OTHER", "/plain/", 200, None): 1,
    }


@pytest.mark.parametrize("length", ["9" * 400, "9" * 5_000, "\u00b2", "-1", "1.5", "1e9"])
def test_a_length_that_is_none_costs_no_other_request_its_measurement(
    measured: Measured, client: Client, length: str
) -> None:
    client.get("/plain/")
    client.get("/plain/", CONTENT_LENGTH=length)
    client.post("/methods/", {"a": "b"}, headers={"host": "localhost"})
    client.get("/plain/", headers={"host": "localhost:\u00b2"})

    assert sum(measured.counts(DURATION, "http.route").values()) == 4
    assert sum(measured.counts(metrics.HTTP_SERVER_REQUEST_BODY_SIZE, "http.route").values()) == 1


def test_requests_that_no_trace_records_are_measured_too(client: Client) -> None:
    measured = Measured()
    with traced_requests("always_off", recorder=measured.recorder) as traced:
        client.get("/plain/")

    assert traced.spans == []
    assert measured.counts(DURATION, *BY_ROUTE) == {("GET", "/plain/", 200, None): 1}
    (point,) = measured.points(DURATION).values()
    assert point.exemplars == ()


def test_the_duration_is_the_spans_and_names_its_trace(client: Client) -> None:
    measured = Measured()
    with traced_requests(recorder=measured.recorder) as traced:
        client.get("/slow/?s=0.01")

    span = traced.span
    (point,) = measured.points(DURATION).values()
    assert isinstance(point, HistogramPoint)
    assert point.sum == (span._end_time - span._start_time) / 1e9
    (exemplar,) = point.exemplars
    assert (exemplar.trace_id, exemplar.span_id) == (span._context[0], span._context[1])


def test_probes_count_though_they_have_no_span(client: Client) -> None:
    measured = Measured()
    with traced_requests(recorder=measured.recorder, excluded_urls=("^/file/",)) as traced:
        client.get("/livez")
        client.get("/file/").close()
        serve("/livez")

    assert traced.spans == []
    assert measured.counts(DURATION, *BY_ROUTE) == {
        ("GET", "/livez", 200, None): 2,
        ("GET", "/file/", 200, None): 1,
    }
    assert measured.counts(ACTIVE) == {("GET", "http"): 0}


def test_R3_a_refused_host_counts_without_a_route(measured: Measured, client: Client) -> None:
    client.get("/plain/", headers={"host": "evil.example"})

    assert measured.counts(DURATION, *BY_ROUTE) == {("GET", None, 400, None): 1}


def test_a_path_that_is_not_found_counts_without_a_route(
    measured: Measured, client: Client
) -> None:
    for number in range(20):
        client.get(f"/no-such-page/{number}")

    assert measured.counts(DURATION, *BY_ROUTE) == {("GET", None, 404, None): 20}


@pytest.mark.parametrize("path", ["/raises/", "/raises-async/"])
def test_R5_a_failed_request_keeps_its_route(measured: Measured, client: Client, path: str) -> None:
    client.get(path)

    assert measured.counts(DURATION, *BY_ROUTE) == {("GET", path, 500, "ValueError"): 1}
    assert measured.counts(metrics.DJANGO_EXCEPTIONS) == {(path, "ValueError"): 1}


def test_an_exception_that_leaves_the_handler_counts_once(measured: Measured) -> None:
    with pytest.raises(ValueError, match="broken view"):
        Client().get("/raises/")

    assert measured.counts(metrics.DJANGO_EXCEPTIONS) == {("/raises/", "ValueError"): 1}
    assert sum(measured.counts(DURATION).values()) == 1


def test_a_streamed_body_counts_to_its_last_byte(measured: Measured, client: Client) -> None:
    response: Any = client.get("/stream/")
    assert measured.counts(DURATION) == {}
    assert measured.counts(ACTIVE) == {("GET", "http"): 1}

    body = b"".join(response.streaming_content)
    response.close()

    assert sum(measured.counts(DURATION).values()) == 1
    assert list(measured.sums(metrics.HTTP_SERVER_RESPONSE_BODY_SIZE).values()) == [len(body)]
    assert measured.counts(ACTIVE) == {("GET", "http"): 0}


def test_the_sizes_of_bodies_are_measured_where_they_are_known(
    measured: Measured, client: Client
) -> None:
    client.post("/methods/", data="x" * 700, content_type="text/plain")
    client.get("/file/").close()
    client.head("/plain/")

    assert measured.sums(metrics.HTTP_SERVER_REQUEST_BODY_SIZE, "http.route") == {
        ("/methods/",): 700
    }
    assert measured.sums(metrics.HTTP_SERVER_RESPONSE_BODY_SIZE, "http.route") == {
        ("/methods/",): 0,
        ("/file/",): 10_000,
    }


@override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"))
def test_https_is_what_the_proxy_says(client: Client) -> None:
    measured = Measured()
    with traced_requests(recorder=measured.recorder):
        client.get("/plain/", headers={"x-forwarded-proto": "https"})
        serve("/plain/", headers=[(b"host", b"localhost"), (b"x-forwarded-proto", b"https")])

    assert measured.counts(DURATION, "url.scheme") == {("https",): 2}
    assert measured.counts(ACTIVE) == {("GET", "https"): 0}


@pytest.mark.skipif(not NOTICES_DISCONNECTS, reason="this Django never notices a disconnect")
def test_R2_a_client_that_leaves_takes_its_active_request_along(measured: Measured) -> None:
    serve("/slow-async/", leaves_after=0, query_string=b"s=5")
    serve("/stream-async/", leaves_after=2)

    assert measured.counts(ACTIVE) == {("GET", "http"): 0}
    assert sum(measured.counts(DURATION).values()) == 2


def test_R2_a_server_that_cancels_takes_the_active_request_along(measured: Measured) -> None:
    async def cancelled() -> None:
        server = Server("/slow-async/", query_string=b"s=5")
        task = asyncio.ensure_future(ASGIHandler()(server.scope, server.receive, server.send))
        while not views.EVENTS:  # noqa: ASYNC110 - a list, no event
            await asyncio.sleep(0.01)
        assert measured.counts(ACTIVE) == {("GET", "http"): 1}
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cancelled())

    assert measured.counts(ACTIVE) == {("GET", "http"): 0}


def test_a_mounted_site_has_its_prefix_in_the_route(measured: Measured) -> None:
    environ = RequestFactory()._base_environ(  # type: ignore[attr-defined]
        SCRIPT_NAME="/shop", PATH_INFO="/plain/"
    )
    response: Any = WSGIHandler()(environ, lambda *_: None)
    response.close()

    assert measured.counts(DURATION, "http.route") == {("/shop/plain/",): 1}


def test_a_forked_child_begins_at_nothing(measured: Measured, client: Client) -> None:
    response: Any = client.get("/stream/")
    client.get("/plain/")

    measured.recorder.after_fork()
    client.get("/file/").close()

    assert measured.counts(DURATION, "http.route") == {("/file/",): 1}
    assert measured.counts(ACTIVE) == {("GET", "http"): 0}
    response.close()


def test_whoever_wants_to_know_is_told_of_finished_requests(client: Client) -> None:
    told: list[tuple[Any, ...]] = []

    def finished(served: ServedRequest, route: str | None, duration_ns: int) -> None:
        told.append(
            (served.method, served.status_code, served.error_type, route, served.response_bytes)
        )
        assert duration_ns > 0
        assert (served.queries, served.query_ns, served.request_bytes) == (0, 0, None)
        assert len(served.request_id) == 32

    RequestTracing.on_finished.append(finished)
    try:
        with traced_requests("always_off"):
            client.get("/plain/")
            client.get("/answers-500/")
            client.get("/livez")
    finally:
        RequestTracing.on_finished.remove(finished)

    assert told == [("GET", 200, None, "/plain/", 2), ("GET", 500, "500", "/answers-500/", 4)]
