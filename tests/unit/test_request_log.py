"""``request.finished``: one record for each request, and what it says."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.test import Client

from otel_django import conf, names
from otel_django.testing import Captured, CapturedLog, capture
from tests.unit.test_http_asgi import serve


def finished(captured: Captured) -> list[CapturedLog]:
    return [log for log in captured.logs if log.event == names.REQUEST_FINISHED]


def only(captured: Captured) -> CapturedLog:
    (log,) = finished(captured)
    return log


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


def test_a_request_is_told_once_with_its_trace_route_and_sizes(client: Client) -> None:
    with capture() as captured:
        client.get("/api/v1/articles/7/")
    log = only(captured)
    (span,) = [span for span in captured.spans if span.name == "GET /api/v1/articles/<int:pk>/"]
    assert (log.level, log.logger) == ("info", "otel_django.events")
    assert (log.trace_id, log.span_id) == (span.trace_id, span.span_id)
    attributes = dict(log.attributes)
    assert attributes.pop(names.DURATION) == pytest.approx(span.duration_s)
    assert len(attributes.pop(names.DJANGO_REQUEST_ID)) == 32
    assert attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/api/v1/articles/<int:pk>/",
        "url.path": "/api/v1/articles/7/",
        "client.address": "127.0.0.1",
        "django.request.db.queries": 0,
        "http.response.body.size": 2,
    }


@pytest.mark.parametrize(
    ("path", "level"),
    [
        ("/answers-500/", "error"),
        ("/raises/", "error"),
        ("/nowhere/", "info"),
        ("/raises-403/", "info"),
        ("/slow/?s=0.02", "warning"),
    ],
)
def test_the_level_is_that_of_the_status_and_a_slow_one_warns(
    client: Client, path: str, level: str
) -> None:
    with capture(slow_request_s=0.02) as captured:
        client.get(path)
    assert only(captured).level == level


def test_asynchronous_and_refused_requests_are_told_too() -> None:
    with capture() as captured:
        serve("/plain-async/")
        serve("/plain/", headers=[(b"host", b"evil.example")])
    assert [
        (log.attributes.get("http.route"), log.attributes["http.response.status_code"])
        for log in finished(captured)
    ] == [("/plain-async/", 200), (None, 400)]


def test_an_unrecorded_request_says_the_same(client: Client) -> None:
    with capture(traces_sampler="always_off") as captured:
        client.get("/reset/Mg/set-password/")
    with capture() as recorded:
        client.get("/reset/Mg/set-password/")
    told: list[dict[str, Any]] = [dict(only(one).attributes) for one in (captured, recorded)]
    for attributes in told:
        del attributes[names.DURATION], attributes[names.DJANGO_REQUEST_ID]
    assert told[0] == told[1]
    assert told[0]["url.path"] == "/reset/Mg/[redacted]/"


@pytest.mark.parametrize("path", ["/livez", "/monitoring/metrics/"])
def test_nothing_is_told_of_health_and_metrics_paths(client: Client, path: str) -> None:
    with capture() as captured:
        client.get(path)
    assert finished(captured) == []


def test_an_exception_is_told_by_one_record(client: Client) -> None:
    with capture() as captured:
        client.get("/raises/")
    told = [log for log in captured.logs if names.EXCEPTION_TYPE in log.attributes]
    assert [(log.logger, log.attributes[names.EXCEPTION_TYPE]) for log in told] == [
        ("django.request", "ValueError")
    ]
    assert told[0].span_id == only(captured).span_id
    assert only(captured).attributes[names.ERROR_TYPE] == "ValueError"


def test_an_exception_that_nobody_logs_is_told_with_the_request(client: Client) -> None:
    logger = logging.getLogger("django.request")
    logger.disabled = True
    try:
        with capture() as captured:
            client.get("/raises/")
    finally:
        logger.disabled = False
    log = only(captured)
    assert log.attributes[names.EXCEPTION_TYPE] == "ValueError"
    assert "in raises" in log.attributes[names.EXCEPTION_STACKTRACE]


def test_the_servers_own_lines_of_requests_are_left_out(client: Client) -> None:
    with capture() as captured:
        logging.getLogger("django.server").info('"%s" %s %s', "GET / HTTP/1.1", "200", "2")
        logging.getLogger("django.server").info("- Broken pipe from %s", "127.0.0.1")
        logging.getLogger("gunicorn.access").info("GET /")
        logging.getLogger("uvicorn.access").info("GET /")
        logging.getLogger("gunicorn.error").info("Booting worker")
    assert [log.event for log in captured.logs] == [
        "- Broken pipe from 127.0.0.1",
        "Booting worker",
    ]


@pytest.mark.parametrize(("word", "events"), [("logs", 0), ("logs/dup", 1)])
def test_opentelemetrys_variable_says_whether_exceptions_are_span_events_too(
    word: str, events: int
) -> None:
    settings = conf.load(
        {"OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN": word},
        {},
        base_dir=None,
        debug=False,
        settings_module=None,
    )
    assert [each for each in settings.problems if each.kind == "value"] == []
    assert settings.exception_events is bool(events)
