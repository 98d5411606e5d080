"""Sites that set OpenTelemetry up themselves, or have ``opentelemetry-instrument`` do it."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from tests import server_process
from tests.server_process import ROOT, Command
from tests.servers.serving import Server, served

REQUESTS = 10
OURS = "otel_django"
THEIRS = "opentelemetry.instrumentation.django"


def agent(command: Command) -> Command:
    """The same behind ``opentelemetry-instrument``."""
    program = str(Path(sys.executable).with_name("opentelemetry-instrument"))
    return lambda port: [program, *command(port)]


def manage(*options: str) -> Command:
    """``runserver`` by the manage.py that instruments."""
    program = [sys.executable, "-m", "tests.site.manage_instrumented"]
    return lambda port: [*program, "runserver", f"127.0.0.1:{port}", *options]


def wsgi(name: str) -> Command:
    """gunicorn with another WSGI file."""
    command = server_process.gunicorn("--workers=2")
    return lambda port: [
        part.replace("tests.site.wsgi:", f"tests.site.{name}:") for part in command(port)
    ]


@contextmanager
def serving(command: Command, **environ: str) -> Iterator[Server]:
    path = [str(ROOT)]
    if importlib.util.find_spec("opentelemetry.instrumentation.sqlite3") is None:
        path.append(str(ROOT / "tests" / "contrib_path"))
    sdk = {
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_BSP_SCHEDULE_DELAY": "60000",  # what leaves before the end was flushed at the end
        "OTEL_SERVICE_NAME": "theirs",
        "PYTHONPATH": os.pathsep.join(path),
    }
    with served(command, {**sdk, **environ}) as server:
        yield server


def served_spans(server: Server) -> list[dict[str, Any]]:
    """Serve some requests, end, and return what arrived."""
    for _ in range(REQUESTS):
        assert server.get("/guest/").status == 200
    time.sleep(0.1)  # a server closes a response, and ends its span, after the client has read it
    server.stop()
    spans = server.collector.spans()
    ids = Counter((span["trace_id"], span["span_id"]) for span in spans)
    assert set(ids.values()) == {1}
    assert {span["resource"]["service.name"] for span in spans} == {"theirs"}
    return [span for span in spans if span["name"] != "CONNECT"]


def assert_one_span_a_call(spans: list[dict[str, Any]], scope: str = OURS) -> None:
    """Each request has one span, two queries and the site's own span, rightly nested."""
    requests = [span for span in spans if span["kind"] == 2]
    assert len(requests) == REQUESTS
    assert len(spans) == 4 * REQUESTS, sorted(span["name"] for span in spans)
    for request in requests:
        assert request["scope"]["name"] == scope
        assert request["parent_span_id"] == ""
        trace = [span for span in spans if span["trace_id"] == request["trace_id"]]
        (work,) = (span for span in trace if span["name"] == "work")
        queries = [span for span in trace if span["name"] == "SELECT"]
        assert work["parent_span_id"] == request["span_id"]
        assert {span["scope"]["name"] for span in queries} == {OURS}
        assert [span["parent_span_id"] for span in sorted(queries, key=_start)] == [
            request["span_id"],
            work["span_id"],
        ]


def _start(span: dict[str, Any]) -> int:
    return int(span["start_ns"])


@pytest.mark.parametrize(
    "command",
    [
        server_process.runserver("--noreload"),
        server_process.gunicorn("--workers=2"),
        server_process.gunicorn("--workers=2", "--preload", "--max-requests=5"),
    ],
    ids=["runserver", "gunicorn", "gunicorn-preload"],
)
def test_behind_the_agent_each_call_has_one_span_and_none_is_lost(command: Command) -> None:
    instrumented = {"DJANGO_SETTINGS_MODULE": "tests.site.settings_with_sqlite"}
    with serving(agent(command), **instrumented) as server:
        assert_one_span_a_call(served_spans(server))
        log = server.output()
    assert "which records on it as a guest" in log
    assert "DjangoInstrumentor" in log


def test_behind_the_agent_its_own_requests_stay_if_they_are_asked_for() -> None:
    contrib = {"OTEL_DJANGO_INSTRUMENTATION": "contrib", "OTEL_PYTHON_EXCLUDED_URLS": "livez"}
    with serving(agent(server_process.gunicorn("--workers=2")), **contrib) as server:
        assert_one_span_a_call(served_spans(server), THEIRS)


@pytest.mark.parametrize("options", [[], ["--preload"]], ids=["", "preload"])
def test_a_provider_in_the_settings_takes_our_spans(options: list[str]) -> None:
    own = {"DJANGO_SETTINGS_MODULE": "tests.site.settings_with_provider"}
    with serving(server_process.gunicorn("--workers=2", *options), **own) as server:
        assert_one_span_a_call(served_spans(server))


@pytest.mark.parametrize(
    "command", [manage("--noreload"), wsgi("wsgi_instrumented")], ids=["before", "after"]
)
def test_instrumentors_that_the_site_switches_on_double_nothing(command: Command) -> None:
    with serving(command) as server:
        assert_one_span_a_call(served_spans(server))
        log = server.output()
    assert "as a guest" not in log
    assert "DjangoInstrumentor" in log
    assert "SQLite3Instrumentor" in log


@pytest.mark.parametrize("options", [[], ["--preload"]], ids=["", "preload"])
def test_metrics_and_logs_leave_where_the_sites_provider_is_for_spans_only(
    options: list[str], tmp_path: Path
) -> None:
    own = {
        "DJANGO_SETTINGS_MODULE": "tests.site.settings_with_provider",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_DJANGO_RUN_DIR": str(tmp_path),
    }
    with serving(server_process.gunicorn("--workers=2", *options), **own) as server:
        assert_one_span_a_call(served_spans(server))
        sums = server.collector.raw_bodies("metrics")
        records = server.collector.raw_bodies("logs")
    last = ExportMetricsServiceRequest.FromString(sums[-1])
    counted = [
        (resource.resource, point.count)
        for resource in last.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "http.server.request.duration"
        for point in metric.histogram.data_points
        if any(one.value.string_value == "/guest/" for one in point.attributes)
    ]
    assert [count for _, count in counted] == [REQUESTS]
    names = {one.key: one.value.string_value for one in counted[0][0].attributes}
    assert names["service.name"] == "theirs"
    assert names["host.name"]
    assert records


def test_instrumentors_beside_a_provider_of_the_sites_double_nothing() -> None:
    own = {"DJANGO_SETTINGS_MODULE": "tests.site.settings_with_provider"}
    with serving(wsgi("wsgi_instrumented"), **own) as server:
        assert_one_span_a_call(served_spans(server))
