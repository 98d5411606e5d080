"""Sentry and django-structlog in the same site: each tells everything once, none is in the way."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.serving import Server, gunicorn, uvicorn

SENTRYS = "771a43a4192642f0b136d5159a501700"
OURS = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(scope="module", params=["gunicorn, theirs last", "uvicorn, theirs first"])
def server(request: pytest.FixtureRequest, migrated: Path) -> Iterator[Server]:
    environ = {
        "DJANGO_SETTINGS_MODULE": "tests.servers.beside.settings",
        "TESTS_BASE_DIR": str(migrated.parent),
    }
    if request.param.startswith("gunicorn"):
        with gunicorn("--threads", "2", **environ) as server:
            yield server
    else:
        with uvicorn(**environ, BESIDE_FIRST="1") as server:
            yield server


def trace_of(server: Server, trace_id: str, timeout_s: float = 10) -> list[dict[str, Any]]:
    """The spans of a trace once its request was exported, that one first."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        spans = [span for span in server.collector.spans() if span["trace_id"] == trace_id]
        if any(span["kind"] == 2 for span in spans):
            return sorted(spans, key=lambda span: span["start_ns"])
        time.sleep(0.05)
    raise AssertionError(f"no request with the trace {trace_id}")


def sentry_events(server: Server, transaction: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = json.loads(server.get("/sentry/").body)
    return [event for event in events if event.get("transaction") == transaction]


def test_a_request_is_told_once_here_and_once_in_sentry(server: Server) -> None:
    answer = server.get("/work/")
    names = [span["name"] for span in trace_of(server, answer.headers["X-Request-ID"])]
    assert [name for name in names if name != "CONNECT"] == [
        "GET /work/",
        "SELECT test_site_book",
        "get default",
    ]

    (transaction,) = sentry_events(server, "/work/")
    operations = [span["op"] for span in transaction["spans"]]
    assert operations.count("cache.get") == 1


def test_an_exception_reaches_both(server: Server) -> None:
    answer = server.get("/fail/")
    assert answer.status == 500
    (span,) = trace_of(server, answer.headers["X-Request-ID"])
    assert [event["name"] for event in span["events"]] == ["exception"]
    errors = [event for event in sentry_events(server, "/fail/") if "exception" in event]
    assert len(errors) == 1


def test_each_goes_on_with_its_own_callers_trace(server: Server) -> None:
    answer = server.get(
        "/call/",
        traceparent=f"00-{OURS}-00f067aa0ba902b7-01",
        sentry_trace=f"{SENTRYS}-1234567890abcdef-1",
        baggage=f"sentry-trace_id={SENTRYS},shop=7",
    )
    assert trace_of(server, OURS)[0]["name"] == "GET /call/"
    sent = json.loads(answer.body)
    assert sent["sentry-trace"].startswith(f"{SENTRYS}-")
    assert f"sentry-trace_id={SENTRYS}" in sent["baggage"]


def test_log_lines_of_django_structlog_have_the_ids_of_the_request(server: Server) -> None:
    for answer in (server.get("/work/"), server.get("/work/", X_Request_ID="caller-7")):
        bound = json.loads(answer.body)
        assert bound["request_id"] == answer.headers["X-Request-ID"]
        assert trace_of(server, bound["trace_id"])[0]["name"] == "GET /work/"
    assert bound["request_id"] == "caller-7"
