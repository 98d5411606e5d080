"""What a request's span says, by the kind of request."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from opentelemetry.trace import SpanKind, StatusCode

from otel_django import names
from tests.requests_kit import Traced, traced_requests


@pytest.fixture
def traced() -> Iterator[Traced]:
    with traced_requests() as traced:
        yield traced


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.getLogger("django.request").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("django.request").setLevel(logging.NOTSET)


def test_a_request_has_one_server_span_named_by_its_route(traced: Traced, client: Client) -> None:
    client.get("/api/v1/articles/7/?q=secret", headers={"user-agent": "tester/1"})

    assert traced.span._name == "GET /api/v1/articles/<int:pk>/"
    assert traced.span._kind is SpanKind.SERVER
    assert traced.span._parent is None
    assert traced.span._status.status_code is StatusCode.UNSET
    assert traced.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/api/v1/articles/<int:pk>/",
        "url.path": "/api/v1/articles/7/",
        "url.scheme": "http",
        "server.address": "testserver",
        "server.port": 80,
        "network.protocol.version": "1.1",
        "client.address": "127.0.0.1",
        "user_agent.original": "tester/1",
        "django.view": "tests.site.views.plain",
        "django.url_name": "v1-articles:detail",
        "django.app": "test_site",
    }


@pytest.mark.parametrize(
    ("path", "name", "view"),
    [
        ("/", "GET /", "plain"),
        ("/unnamed/", "GET /unnamed/", "plain"),
        ("/methods/", "GET /methods/", "Methods"),
        ("/methods-async/", "GET /methods-async/", "MethodsAsync"),
        ("/callable/", "GET /callable/", "Instance"),
        ("/plain-async/", "GET /plain-async/", "plain_async"),
        ("/old/x/", "GET /old/(?P<slug>[^/]+)/", "plain"),
        ("/api/v1/years/2024/", "GET /api/v1/years/(?P<year>[0-9]{4})/", "plain"),
        ("/any/a/b/c", "GET /any/<path:rest>", "plain"),
    ],
)
def test_the_route_is_as_in_the_urlconf(
    traced: Traced, client: Client, path: str, name: str, view: str
) -> None:
    client.get(path)

    assert traced.span._name == name
    assert traced.attributes["http.route"] == name.partition(" ")[2]
    assert traced.attributes["django.view"] == f"tests.site.views.{view}"


def test_the_application_root_is_part_of_the_route(traced: Traced, client: Client) -> None:
    client.get("/plain/", SCRIPT_NAME="/shop")

    assert traced.attributes["http.route"] == "/shop/plain/"
    assert traced.attributes["url.path"] == "/shop/plain/"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/no-content/", 204),
        ("/moved/", 302),
        ("/raises-404/", 404),
        ("/raises-403/", 403),
        ("/raises-400/", 400),
    ],
)
def test_an_answer_below_500_is_no_error(
    traced: Traced, client: Client, path: str, status: int
) -> None:
    client.get(path)

    assert traced.attributes["http.response.status_code"] == status
    assert traced.span._status.status_code is StatusCode.UNSET
    assert "error.type" not in traced.attributes


def test_an_unknown_path_has_a_span_without_a_route(traced: Traced, client: Client) -> None:
    client.get("/nowhere/")

    assert traced.span._name == "GET"
    assert "http.route" not in traced.attributes
    assert traced.attributes["http.response.status_code"] == 404


def test_a_views_exception_is_on_the_span_once(traced: Traced, client: Client) -> None:
    client.get("/raises/")

    assert traced.attributes["error.type"] == "ValueError"
    assert traced.attributes["http.response.status_code"] == 500
    assert traced.span._status.status_code is StatusCode.ERROR
    assert [event.name for event in traced.span.events] == ["exception"]
    attributes: Any = traced.span.events[0].attributes
    assert attributes["exception.type"] == "ValueError"
    assert "in raises" in attributes["exception.stacktrace"]
    assert "hunter2-local" not in attributes["exception.stacktrace"].replace("password = ", "")
    assert "abc123secret" not in str(attributes)


def test_exception_events_can_be_switched_off(client: Client) -> None:
    with traced_requests(exception_events=False) as traced:
        client.get("/raises/")

    assert traced.attributes["error.type"] == "ValueError"
    assert not traced.span.events


def test_a_500_the_site_answers_itself_is_an_error(traced: Traced, client: Client) -> None:
    client.get("/answers-500/")

    assert traced.attributes["error.type"] == "500"
    assert traced.span._status.status_code is StatusCode.ERROR
    assert not traced.span.events


def test_an_exception_that_leaves_the_handler_is_on_the_span_once(
    traced: Traced, client: Client, settings_changed: Any
) -> None:
    with (
        settings_changed(DEBUG_PROPAGATE_EXCEPTIONS=True),
        pytest.raises(ValueError, match="broken"),
    ):
        Client().get("/raises/")

    assert traced.attributes["error.type"] == "ValueError"
    assert len(traced.span.events) == 1


def test_R3_a_refused_host_has_a_span(traced: Traced, client: Client) -> None:
    response = client.get("/plain/", headers={"host": "evil.example:8080"})

    assert response.status_code == 400
    assert traced.span._name == "GET"
    assert traced.attributes["http.response.status_code"] == 400
    assert traced.attributes["server.address"] == "evil.example"
    assert traced.attributes["server.port"] == 8080


def test_R3_a_middleware_that_answers_early_has_a_span(traced: Traced, client: Client) -> None:
    client.get("/early/answer/")

    assert traced.span._name == "GET"
    assert traced.attributes["http.response.status_code"] == 503
    assert traced.attributes["error.type"] == "503"


def test_R3_a_middleware_that_raises_has_a_span(traced: Traced, client: Client) -> None:
    client.get("/early/raise/")

    assert traced.attributes["error.type"] == "LookupError"


def test_R3_a_failed_csrf_check_has_a_span(traced: Traced) -> None:
    response = Client(enforce_csrf_checks=True).post("/plain/", {"a": "1"})

    assert response.status_code == 403
    # Django resolves the URL before it checks the token.
    assert traced.span._name == "POST /plain/"
    assert traced.attributes["http.response.status_code"] == 403


@pytest.mark.parametrize(
    ("method", "known", "original", "name"),
    [
        ("POST", "POST", None, "POST /methods/"),
        ("HEAD", "HEAD", None, "HEAD /methods/"),
        ("patch", "PATCH", "patch", "PATCH /methods/"),
        ("BREW", "_OTHER", "BREW", "HTTP /methods/"),
    ],
)
def test_methods_outside_the_known_set_are_other(
    traced: Traced, client: Client, method: str, known: str, original: str | None, name: str
) -> None:
    client.generic(method, "/methods/")

    assert traced.attributes["http.request.method"] == known
    assert traced.attributes.get("http.request.method_original") == original
    assert traced.span._name == name


def test_R4_query_strings_never_go_out(traced: Traced, client: Client) -> None:
    client.get("/plain/?password=hunter2&next=/x&q=anything")

    everything = f"{traced.span._name} {traced.attributes}"
    assert "hunter2" not in everything
    assert "anything" not in everything


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/reset/MQ/c8x-52b1b9d0f2/", "/reset/MQ/[redacted]/"),
        ("/nowhere/dGhpc0lzQVRva2VuMTIz0x9/", "/nowhere/[redacted]/"),
        ("/nowhere/0123456789abcdef0123456789abcdef", "/nowhere/[redacted]"),
        ("/nowhere/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.abc/", "/nowhere/[redacted]/"),
        ("/nowhere/how-to-build-a-website-in-2024/", "/nowhere/how-to-build-a-website-in-2024/"),
        (
            "/nowhere/550e8400-e29b-41d4-a716-446655440000/",
            "/nowhere/550e8400-e29b-41d4-a716-446655440000/",
        ),
    ],
)
def test_tokens_in_the_path_are_masked(
    traced: Traced, client: Client, path: str, shown: str
) -> None:
    client.get(path)

    assert traced.attributes["url.path"] == shown


def test_a_huge_path_is_cut(traced: Traced, client: Client) -> None:
    client.get("/any/" + "word/" * 10_000)

    assert len(traced.attributes["url.path"]) == 2048


def test_health_and_metrics_paths_have_no_span(traced: Traced, client: Client) -> None:
    for path, status in (("/livez", 200), ("/metrics", 403), ("/monitoring/metrics/", 403)):
        response = client.get(path, REMOTE_ADDR="192.0.2.1")
        assert response.status_code == status
        assert "X-Request-ID" not in response
    assert traced.spans == []


@pytest.mark.parametrize("expression", ["plain/$", "^/plain", "testserver/plain"])
def test_excluded_urls_have_no_span(client: Client, expression: str) -> None:
    with traced_requests(excluded_urls=("nothing", expression)) as traced:
        client.get("/plain/")
        client.get("/methods/")

    assert [span._name for span in traced.spans] == ["GET /methods/"]


def test_the_scheme_is_what_django_takes_it_for(client: Client, settings_changed: Any) -> None:
    proxies = settings_changed(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"))
    with proxies, traced_requests() as traced:
        client.get("/plain/", headers={"host": "localhost", "x-forwarded-proto": "https"})

    assert traced.attributes["url.scheme"] == "https"
    assert traced.attributes["server.port"] == 443


def test_behind_a_proxy_the_client_is_the_right_most_stranger(
    traced: Traced, client: Client
) -> None:
    client.get("/plain/", headers={"x-forwarded-for": "1.1.1.1, 203.0.114.9, 10.0.0.3"})

    assert traced.attributes["client.address"] == "203.0.114.9"
    assert traced.attributes["network.peer.address"] == "127.0.0.1"


def test_headers_are_captured_when_asked_for_and_secrets_never(client: Client) -> None:
    with traced_requests(
        capture_request_headers=("x-.*", "Authorization", "content-type"),
        capture_response_headers=("Content-.*",),
        sanitize_fields=("x-hidden",),
    ) as traced:
        client.get(
            "/plain/",
            headers={
                "x-tier": "gold",
                "x-hidden": "a",
                "x-api-key": "k",
                "authorization": "Basic eA",
            },
        )

    captured = {key: value for key, value in traced.attributes.items() if ".header." in key}
    assert captured == {
        "http.request.header.x-tier": ["gold"],
        "http.request.header.x-hidden": ["[redacted]"],
        "http.request.header.x-api-key": ["[redacted]"],
        "http.request.header.authorization": ["[redacted]"],
        "http.response.header.content-type": ["text/html; charset=utf-8"],
        **{key: value for key, value in captured.items() if key.endswith("content-length")},
    }


def test_request_attributes_are_captured_when_asked_for(client: Client) -> None:
    with traced_requests(
        traced_request_attrs=("path_info", "content_type", "body", "no")
    ) as traced:
        client.get("/plain/")

    assert traced.attributes["path_info"] == "/plain/"
    assert "body" not in traced.attributes
    assert "no" not in traced.attributes


def test_R6_a_request_that_is_not_sampled_is_not_described(client: Client) -> None:
    with traced_requests("always_off") as traced:
        response = client.get("/plain/")
        from otel_django.instrumentation import http_server

        tracing: Any = http_server._tracing
        assert tracing.describer._routes == {}
        assert tracing.describer._shapes == {}

    assert traced.spans == []
    assert len(response["X-Request-ID"]) == 32


def test_the_span_covers_what_the_site_logs_about_the_answer(
    traced: Traced, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    from opentelemetry import trace

    seen: list[int] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(trace.get_current_span().get_span_context().trace_id)

    logger = logging.getLogger("django.request")
    handler = Handler()
    logger.setLevel(logging.WARNING)
    logger.addHandler(handler)
    try:
        client.get("/raises/")
    finally:
        logger.removeHandler(handler)

    assert seen == [traced.span._context.trace_id]


def test_uninstalling_puts_the_handlers_back() -> None:
    from django.core.handlers.asgi import ASGIHandler
    from django.core.handlers.base import BaseHandler

    def patched() -> list[object]:
        return [
            BaseHandler.get_response,
            BaseHandler.get_response_async,
            ASGIHandler.handle,
            ASGIHandler.create_request,
        ]

    before = patched()
    with traced_requests():
        assert all(now is not then for now, then in zip(patched(), before, strict=True))
        with traced_requests() as inner:  # installed twice: patched once
            Client().get("/plain/")
            assert len(inner.spans) == 1
    assert patched() == before


def test_a_patch_on_top_of_ours_survives_and_nothing_is_doubled(client: Client) -> None:
    from django.core.handlers.base import BaseHandler

    untouched = BaseHandler.get_response
    called: list[str] = []
    with traced_requests():
        ours = BaseHandler.get_response

        def theirs(self: Any, request: Any) -> Any:
            called.append(request.path)
            return ours(self, request)

        BaseHandler.get_response = theirs  # type: ignore[method-assign]
    assert BaseHandler.get_response is theirs
    client.get("/plain/")
    with traced_requests() as traced:
        client.get("/plain/")
        BaseHandler.get_response = ours  # type: ignore[method-assign]

    assert traced.span._name == "GET /plain/"
    assert called == ["/plain/", "/plain/"]
    assert BaseHandler.get_response is untouched


def test_names_are_the_semantic_conventions() -> None:
    from opentelemetry.semconv.attributes import http_attributes, url_attributes

    assert names.HTTP_ROUTE == http_attributes.HTTP_ROUTE
    assert names.URL_PATH == url_attributes.URL_PATH
