"""What each vendor's configuration sends: where to, with which headers, in which protocol."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.stack.stack_kit import Collector, running, wait_until
from tests.stack.test_collector_config import REQUIRED, VENDORS

PROTOBUF = "application/x-protobuf"


class Vendor(NamedTuple):
    """``endpoint`` is the variable that is given the stub's address and ``path``."""

    endpoint: str
    path: str
    headers: dict[str, str]
    signals: tuple[str, ...] = ("traces", "metrics", "logs")


BY_OTLP = {
    "datadog.yaml": Vendor(
        "DD_OTLP_ENDPOINT",
        "",
        {"dd-api-key": "a-key", "dd-protocol": "otlp", "dd-otlp-source": "datadoghq.com"},
    ),
    "dynatrace.yaml": Vendor(
        "DYNATRACE_OTLP_ENDPOINT", "/api/v2/otlp", {"authorization": "Api-Token a-token"}
    ),
    "elastic.yaml": Vendor("ELASTIC_OTLP_ENDPOINT", "", {"authorization": "ApiKey a-key"}),
    "grafana-cloud.yaml": Vendor(
        "GRAFANA_CLOUD_OTLP_ENDPOINT", "/otlp", {"authorization": "Basic MTIzNDU2OmEta2V5"}
    ),
    "honeycomb.yaml": Vendor("HONEYCOMB_OTLP_ENDPOINT", "", {"x-honeycomb-team": "a-key"}),
    "newrelic.yaml": Vendor("NEW_RELIC_OTLP_ENDPOINT", "", {"api-key": "a-key"}),
    "sentry.yaml": Vendor(
        "SENTRY_OTLP_ENDPOINT",
        "/api/2/integration/otlp",
        {"x-sentry-auth": "sentry sentry_key=a-key"},
        ("traces", "logs"),
    ),
}


class Seen(NamedTuple):
    """A request that arrived; the names of headers are in lower case."""

    path: str
    headers: dict[str, str]


class Stub(ThreadingHTTPServer):
    """Answers 200 to everything, and notes it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[Seen] = []

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"

    def requests(self, path: str) -> list[Seen]:
        """Those to a path."""
        return [each for each in self.seen if each.path == path]


class _Handler(BaseHTTPRequestHandler):
    server: Stub

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append(Seen(self.path, headers))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: the test tells what is wrong."""


@contextlib.contextmanager
def stub() -> Iterator[Stub]:
    with Stub() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def send_one_of_each(collector: Collector) -> None:
    """A span, a counter and a line."""
    now = time.time_ns()
    traces, metrics, logs = (
        ExportTraceServiceRequest(),
        ExportMetricsServiceRequest(),
        ExportLogsServiceRequest(),
    )
    span = traces.resource_spans.add().scope_spans.add().spans.add()
    span.name, span.trace_id, span.span_id = "GET /", bytes(range(16)), bytes(range(8))
    span.start_time_unix_nano = span.end_time_unix_nano = now
    metric = metrics.resource_metrics.add().scope_metrics.add().metrics.add()
    metric.name = "orders.backlog"
    metric.gauge.data_points.add(time_unix_nano=now, as_int=1)
    record = logs.resource_logs.add().scope_logs.add().log_records.add()
    record.time_unix_nano, record.body.string_value = now, "order placed"
    for signal, message in (("traces", traces), ("metrics", metrics), ("logs", logs)):
        request = urllib.request.Request(
            f"{collector.url}/v1/{signal}",
            message.SerializeToString(),
            {"Content-Type": PROTOBUF},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        opener.open(request, timeout=10).close()


def test_every_vendor_file_that_is_validated_is_tried_here() -> None:
    assert {*BY_OTLP, "splunk.yaml"} == set(VENDORS)


@pytest.mark.parametrize("file", BY_OTLP)
def test_a_vendor_by_otlp_gets_protobuf_at_its_path_with_its_headers(
    file: str, tmp_path: Path
) -> None:
    vendor = BY_OTLP[file]
    with stub() as server:
        environment = {**REQUIRED, vendor.endpoint: server.url + vendor.path}
        collector = Collector(tmp_path, f"vendors/{file}", **environment)
        with running(collector):
            send_one_of_each(collector)
            for signal in vendor.signals:
                path = f"{vendor.path}/v1/{signal}"
                request = wait_until(functools.partial(server.requests, path), 20, path)[0]
                sent = {**vendor.headers, "content-type": PROTOBUF, "content-encoding": "gzip"}
                assert sent.items() <= request.headers.items()


def test_splunk_gets_events_at_its_collector_with_its_token(tmp_path: Path) -> None:
    with stub() as server:
        environment = {**REQUIRED, "SPLUNK_HEC_ENDPOINT": f"{server.url}/services/collector"}
        collector = Collector(tmp_path, "vendors/splunk.yaml", **environment)
        with running(collector):
            send_one_of_each(collector)
            wait_until(
                lambda: len(server.requests("/services/collector")) >= 3, 20, "three requests"
            )
            assert {each.headers["authorization"] for each in server.seen} == {"Splunk a-token"}
            assert {each.headers["content-type"] for each in server.seen} == {"application/json"}
