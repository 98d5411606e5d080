"""At a process's end all three signals are sent, or on disk for the next process to send."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from tests.stub_collector import StubCollector

ROOT = Path(__file__).parents[2]

ALL = (1, ["order placed", "request.finished"], {1})
RECORDS = """
import django, logging
django.setup()
import otel_django
from django.test import Client
Client().get("/plain/")
logging.getLogger("shop").warning("order placed")
otel_django.counter("orders.placed", unit="{order}").add(1)
"""


def run(body: str, folder: Path, collector: StubCollector, protocol: str) -> float:
    """Run ``body``; how long it took."""
    grpc = protocol == "grpc"
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    started_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(body)],
        env={
            **inherited,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "PYTHONPATH": str(ROOT),
            "TESTS_BASE_DIR": str(folder),
            "OTEL_DJANGO_ENABLED": "true",
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_ENDPOINT": (
                collector.grpc_endpoint if grpc else collector.base_endpoint
            ),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return time.monotonic() - started_s


def arrived(collector: StubCollector) -> tuple[int, list[str], set[int]]:
    """How many spans, what records say, and the sums told of ``orders.placed``."""
    records = sorted(
        record.body.string_value
        for body in collector.raw_bodies("logs")
        for resource in ExportLogsServiceRequest.FromString(body).resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    )
    orders = {
        point.as_int
        for body in collector.raw_bodies("metrics")
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "orders.placed"
        for point in metric.sum.data_points
    }
    return collector.counts()["unique"], records, orders


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_all_signals_are_sent_at_the_end(tmp_path: Path, protocol: str) -> None:
    with StubCollector(grpc=True) as collector:
        run(RECORDS, tmp_path, collector, protocol)
        assert arrived(collector) == ALL
    assert list(tmp_path.rglob("*.seg")) == []


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_P2_while_the_receiver_hangs_all_signals_are_kept_for_the_next_process(
    tmp_path: Path, protocol: str
) -> None:
    with StubCollector(grpc=True, mode="hang") as collector:
        run(RECORDS, tmp_path, collector, protocol)
        kept = {path.parent.name.partition("-")[0] for path in tmp_path.rglob("*.seg")}
        assert kept == {"traces", "metrics", "logs"}
        collector.set_mode("ok")
        run(
            """
            import django, glob, time
            django.setup()
            from django.conf import settings
            kept = f"{settings.BASE_DIR}/.otel_django/spool/*/*.seg"
            end_s = time.monotonic() + 20
            while glob.glob(kept) and time.monotonic() < end_s:  # a folder may go meanwhile
                time.sleep(0.1)
            """,
            tmp_path,
            collector,
            protocol,
        )
        assert arrived(collector) == ALL
