"""What each vendor's configuration sends: where to, with which headers, in which protocol."""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.alert_stubs import AlertStub, webhook
from tests.stack import reading_kit
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


def requests(stub: AlertStub, path: str) -> list[dict[str, str]]:
    """The headers of those to a path; names in lower case."""
    return [
        {name.lower(): value for name, value in each.headers.items()}
        for each in stub.requests
        if each.path == path
    ]


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
        reading_kit.send(collector.port, f"/v1/{signal}", message.SerializeToString())


def test_every_vendor_file_that_is_validated_is_tried_here() -> None:
    assert {*BY_OTLP, "splunk.yaml"} == set(VENDORS)


@pytest.mark.parametrize("file", BY_OTLP)
def test_a_vendor_by_otlp_gets_protobuf_at_its_path_with_its_headers(
    file: str, tmp_path: Path
) -> None:
    vendor = BY_OTLP[file]
    with webhook("") as server:
        environment = {**REQUIRED, vendor.endpoint: server.url + vendor.path}
        collector = Collector(tmp_path, f"vendors/{file}", **environment)
        with running(collector):
            send_one_of_each(collector)
            for signal in vendor.signals:
                path = f"{vendor.path}/v1/{signal}"
                headers = wait_until(functools.partial(requests, server, path), 20, path)[0]
                sent = {**vendor.headers, "content-type": PROTOBUF, "content-encoding": "gzip"}
                assert sent.items() <= headers.items()


def test_splunk_gets_events_at_its_collector_with_its_token(tmp_path: Path) -> None:
    with webhook("") as server:
        environment = {**REQUIRED, "SPLUNK_HEC_ENDPOINT": f"{server.url}/services/collector"}
        collector = Collector(tmp_path, "vendors/splunk.yaml", **environment)
        with running(collector):
            send_one_of_each(collector)
            come = functools.partial(requests, server, "/services/collector")
            wait_until(lambda: len(come()) >= 3, 20, "three requests")
            assert {each["authorization"] for each in come()} == {"Splunk a-token"}
            assert {each["content-type"] for each in come()} == {"application/json"}
