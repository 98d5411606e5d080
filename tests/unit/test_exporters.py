"""Where each signal leaves to by the names of its exporters; the SDK's and others' among them."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from otel_django import guard
from otel_django.bootstrap import exporters
from otel_django.conf import OtlpSettings, Settings
from otel_django.metric_points import (
    Exemplar,
    ExponentialPoint,
    HistogramPoint,
    Metric,
    NumberPoint,
    ResourceMetrics,
)
from otel_django.pipeline.drops import Drops
from otel_django.pipeline.metric_sender import MetricSender
from otel_django.pipeline.sender import OtlpSender
from tests.unit.otlp_spans import make_span
from tests.unit.test_otlp_logs import make_record

OFFERED = '''
class Kept:
    """An exporter that keeps what it gets; ``answer`` is what it says of it."""

    def __init__(self):
        self.got = []
        self.answer = 0

    def export(self, batch, **options):
        self.got.append(batch)
        return type("Result", (), {"value": self.answer})

    def shutdown(self):
        pass


class Reader:
    """Asks for metrics itself."""
'''


@pytest.fixture
def offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package that offers exporters ``kept`` for all signals, and a ``reader``."""
    info = tmp_path / "offered-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: offered\nVersion: 1\n")
    groups = (
        f"[opentelemetry_{signal}_exporter]\nkept = offered_exporters:Kept\n"
        "reader = offered_exporters:Reader\n"
        for signal in ("traces", "metrics", "logs")
    )
    (info / "entry_points.txt").write_text("".join(groups))
    (tmp_path / "offered_exporters.py").write_text(OFFERED)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "offered_exporters", raising=False)


def sinks(signal: str, *names: str, drops: Drops | None = None, **fields: Any) -> tuple[Any, ...]:
    changes: dict[str, Any] = {f"{signal}_exporters": names, **fields}
    settings = replace(Settings(), **changes)
    return exporters.sinks(settings, signal, drops or Drops(), lambda: None)


def items(signal: str) -> list[Any]:
    if signal == "traces":
        return [make_span(name="place order")]
    if signal == "logs":
        return [make_record(body="order placed", trace_id=1, span_id=2, event_name="order.placed")]
    exemplar = (Exemplar(0.2, 5, 1, 2),)
    point = NumberPoint((("state", "new"),), 3, 1, 2, exemplar)
    histogram = HistogramPoint((), (1, 0), 0.2, 1, 2, 0.2, 0.2, exemplar)
    exponential = ExponentialPoint((), 3, 0, -2, (1, 2), 0, (), 0.5, 1, 2)
    metrics = (
        Metric("orders.placed", "{order}", "Orders.", "counter", (point,)),
        Metric("orders.open", "{order}", "Orders.", "gauge", (point,)),
        Metric("duration", "s", "Time.", "histogram", (histogram,), (1.0,)),
        Metric("size", "By", "Size.", "exponential_histogram", (exponential,)),
        Metric("empty", "1", "", "counter", ()),
    )
    return [ResourceMetrics({"service.name": "shop"}, metrics)]


@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
def test_a_package_s_exporter_gets_every_batch(signal: str, offered: None) -> None:
    [sink] = sinks(signal, "kept")
    sink.accept(items(signal))
    assert len(sink._exporter.got) == 1
    sink.close(0.0)


@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
def test_what_a_package_s_exporter_refuses_is_counted(signal: str, offered: None) -> None:
    drops = Drops()
    [sink] = sinks(signal, "kept", drops=drops)
    sink._exporter.answer = 1
    sink.accept(items(signal))
    assert drops.snapshot() == {(signal, "rejected"): 4 if signal == "metrics" else 1}


def test_a_metric_reader_is_no_exporter_and_that_is_said(
    offered: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(guard, "_strict", False)
    with caplog.at_level(logging.WARNING, guard.LOGGER_NAME):
        [sink] = sinks("metrics", "reader", "kept")
    assert sink._exporter.got == []
    assert "'reader' of metrics can't be used: it is a metric reader" in caplog.text


def test_prometheus_asks_for_metrics_itself() -> None:
    assert sinks("metrics", "prometheus") == ()


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
def test_otlp_sends_each_signal_to_its_own_receiver(
    signal: str, protocol: Any, tmp_path: Path
) -> None:
    receiver = OtlpSettings(endpoint="http://c:1/in", protocol=protocol, insecure=True)
    fields: dict[str, Any] = {f"otlp_{signal}": receiver, "spool_dir": tmp_path}
    [sink] = sinks(signal, "otlp", **fields)
    assert type(sink) is (MetricSender if signal == "metrics" else OtlpSender)
    expected = "grpc://c:1" if protocol == "grpc" else "http://c:1/in"
    assert sink.status().destination == expected


def test_the_console_prints_log_records() -> None:
    [sink] = sinks("logs", "console")
    sink._exporter.out = out = io.StringIO()
    sink.accept(items("logs"))
    printed = json.loads(out.getvalue())
    assert printed["body"] == "order placed"
    assert printed["event_name"] == "order.placed"
    assert printed["severity_text"] == "INFO"
    assert printed["trace_id"] == "0x00000000000000000000000000000001"
    assert printed["resource"]["attributes"]["service.name"] == "shop"


def test_the_console_prints_metrics() -> None:
    [sink] = sinks("metrics", "console")
    sink._exporter.out = out = io.StringIO()
    sink.take(items("metrics"))
    [resource] = json.loads(out.getvalue())["resource_metrics"]
    [scope] = resource["scope_metrics"]
    by_name = {metric["name"]: metric["data"] for metric in scope["metrics"]}
    assert list(by_name) == ["orders.placed", "orders.open", "duration", "size"]
    [point] = by_name["orders.placed"]["data_points"]
    assert (point["value"], point["attributes"]) == (3, {"state": "new"})
    assert by_name["orders.placed"]["is_monotonic"]
    assert by_name["duration"]["data_points"][0]["bucket_counts"] == [1, 0]
    assert by_name["size"]["data_points"][0]["positive"] == {"offset": -2, "bucket_counts": [1, 2]}


def test_sending_by_otlp_imports_nothing_of_the_sdks_metrics_and_logs() -> None:
    program = """
import sys, pathlib
from dataclasses import replace
from otel_django.bootstrap import exporters
from otel_django.conf import Settings
from otel_django.pipeline.drops import Drops
names = ("otlp",)
settings = replace(Settings(), metrics_exporters=names, logs_exporters=names)
for signal in ("metrics", "logs"):
    assert len(exporters.sinks(settings, signal, Drops(), lambda: None)) == 1
theirs = ("opentelemetry.sdk._logs", "opentelemetry.sdk.metrics")
print([name for name in sys.modules if name.startswith(theirs)])
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"
