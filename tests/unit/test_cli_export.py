"""``manage.py otel export``: OTLP JSON that a Collector reads, and CSV."""

from __future__ import annotations

import base64
import csv
import json
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_django.cli import csv_rows
from otel_django.metric_points import Exemplar, ExponentialPoint, NumberPoint
from otel_django.store.metric_writer import MetricWriter
from otel_django.store.writer import LogWriter, StoreWriter
from tests.cli_kit import otel
from tests.store_logs import record
from tests.store_metrics import BEGAN_NS, counter, histogram, metric, of
from tests.store_spans import Losses, SpanSource
from tests.unit.test_cli_tail import PROJECT, environment

SECOND = 10**9
IDS = {"traceId", "spanId", "parentSpanId"}


@pytest.fixture
def now() -> int:
    return time.time_ns() - 30 * SECOND


@pytest.fixture
def store(path: Path, now: int) -> Path:
    """Two requests, three records and four metrics; one of the requests is two hours old."""
    losses = Losses()
    spans = StoreWriter(path, retention_hours=24, max_mb=64, drops=losses)
    logs = LogWriter(spans.file, drops=losses)
    metrics = MetricWriter(spans.file, drops=losses)
    source = SpanSource()
    source.request("/old/", start=now - 7200 * SECOND, queries=1)
    root = source.request("/products/", start=now, status=500)
    context = root.get_span_context()
    spans.accept(source.take())
    logs.accept(
        [
            record("=cmd()", time_ns=now, ratio=0.5, tags=["a", "b"], nested={"k": [1, None]}),
            record("order.placed", time_ns=now, named=True, paid=True, order=2**53 + 1),
            record(
                "mail.failed",
                time_ns=now,
                level="error",
                body="no route",
                trace_id=context.trace_id,
                span_id=context.span_id,
            ),
        ]
    )
    exponential = ExponentialPoint((), 3, 2, -4, (1, 0, 5), 0, (2,), 12.5, BEGAN_NS, now)
    metrics.take(
        [
            of(
                counter(2**60, now, route="/"),
                histogram((1, 2, 3), now, Exemplar(0.5, now, 0xABC, 0xDEF)),
                metric(exponential, name="sizes", kind="exponential_histogram"),
                metric(NumberPoint((), float("nan"), BEGAN_NS, now), name="load", kind="gauge"),
            )
        ]
    )
    spans.close(time.monotonic() + 1)
    assert losses.counts == {}
    return path


def export(store: Path | str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return otel(store, "export", *arguments)


def export_process(store: Path | str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "django", "otel", "export", *arguments],
        cwd=PROJECT,
        env=environment(str(store)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def in_base64(found: Any) -> Any:
    """As the JSON of other protocols than OTLP has ids, which ``json_format`` reads."""
    if isinstance(found, list):
        return [in_base64(each) for each in found]
    if isinstance(found, dict):
        return {
            key: base64.b64encode(bytes.fromhex(each)).decode() if key in IDS else in_base64(each)
            for key, each in found.items()
        }
    return found


def parsed(line: str, message: Any) -> Any:
    return json_format.ParseDict(in_base64(json.loads(line)), message)


def test_every_line_is_a_request_of_the_protocol(store: Path) -> None:
    done = export_process(store)
    assert done.returncode == 0
    assert done.stderr == "Exported 5 spans, 3 log records, 4 points of metrics.\n"
    lines = done.stdout.splitlines()
    traces = parsed(lines[0], ExportTraceServiceRequest())
    (resource,) = traces.resource_spans
    assert resource.resource.attributes[0].key == "service.name"
    spans = resource.scope_spans[0].spans
    assert {span.name for span in spans} >= {"GET /old/", "GET /products/"}
    failed = next(span for span in spans if span.name == "GET /products/")
    assert (failed.kind, failed.status.code) == (2, 2)
    assert failed.end_time_unix_nano - failed.start_time_unix_nano == 20_000_000
    logs = parsed(lines[1], ExportLogsServiceRequest())
    first, placed, mail = logs.resource_logs[0].scope_logs[0].log_records
    assert first.attributes[2].value.kvlist_value.values[0].key == "k"
    assert (placed.event_name, placed.body.string_value) == ("order.placed", "order.placed")
    assert placed.attributes[1].value.int_value == 2**53 + 1
    assert (mail.body.string_value, mail.severity_number) == ("no route", 17)
    assert (mail.trace_id, mail.span_id) == (failed.trace_id, failed.span_id)
    found = {}
    for line in lines[2:]:
        request = parsed(line, ExportMetricsServiceRequest())
        (one,) = request.resource_metrics[0].scope_metrics[0].metrics
        found[one.name] = one
    placed_orders = found["orders.placed"].sum
    assert (placed_orders.is_monotonic, placed_orders.aggregation_temporality) == (True, 2)
    assert placed_orders.data_points[0].as_int == 2**60
    (point,) = found["request.duration"].histogram.data_points
    assert (list(point.bucket_counts), list(point.explicit_bounds)) == ([1, 2, 3], [0.1, 1.0])
    assert point.exemplars[0].trace_id.hex().endswith("abc")
    (sizes,) = found["sizes"].exponential_histogram.data_points
    assert (sizes.count, list(sizes.positive.bucket_counts), sizes.positive.offset) == (
        10,
        [1, 0, 5],
        -4,
    )
    assert str(found["load"].gauge.data_points[0].as_double) == "nan"


@pytest.mark.parametrize(
    ("arguments", "summary"),
    [
        (["--since", "1h"], "3 spans, 3 log records, 4 points of metrics"),
        (["--since", "1h", "--signal", "traces"], "3 spans"),
        (["--until", "1h", "--signal", "logs,traces"], "0 log records, 2 spans"),
        (["--since", "2000-01-01", "--signal", "metrics"], "4 points of metrics"),
    ],
)
def test_times_and_signals_choose(store: Path, arguments: list[str], summary: str) -> None:
    assert export(store, *arguments).stderr == f"Exported {summary}.\n"


def test_csv_has_one_signal_and_no_formulas(store: Path) -> None:
    done = export(store, "--signal", "logs", "--format", "csv")
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert [row["event"] for row in rows] == ["'=cmd()", "order.placed", "mail.failed"]
    assert json.loads(rows[0]["attributes"])["tags"] == ["a", "b"]
    assert rows[2]["body"] == "no route"
    metrics = export(store, "--signal", "metrics", "--format", "csv").stdout.splitlines()
    by_name = {row["name"]: row for row in csv.DictReader(metrics)}
    assert by_name["orders.placed"]["value"] == str(2**60)
    assert (by_name["request.duration"]["count"], by_name["request.duration"]["value"]) == ("6", "")
    spans = list(
        csv.DictReader(export(store, "--signal", "traces", "--format", "csv").stdout.splitlines())
    )
    assert {row["duration_ms"] for row in spans} == {"0.5", "20.0"}


@pytest.mark.parametrize(
    "begin", ["=", "+", "-", "@", "\t", "\r", "\n", *"\uff1d\uff0b\uff0d\uff20"]
)
def test_no_text_of_a_csv_begins_as_a_formula_does(begin: str) -> None:
    assert csv_rows.text(f"{begin}=1+1") == f"'{begin}=1+1"


def test_a_file_is_its_owners_and_appears_when_it_is_whole(store: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    done = export(store, "--out", str(target))
    assert (done.returncode, done.stdout) == (0, "")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert len(target.read_text().splitlines()) == 6
    assert sorted(each.name for each in tmp_path.iterdir()) == [".otel_django", "out.jsonl"]


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--format", "csv"], 2, "add --signal"),
        (["--signal", "profiles"], 2, "none of traces, logs, metrics"),
        (["--since", "yesterday"], 2, "is no time; write 30m"),
        (["--out", "/nowhere/at/all"], 1, "can't be written: No such file"),
    ],
)
def test_mistakes_are_said_without_a_traceback(
    store: Path, arguments: list[str], code: int, text: str
) -> None:
    done = export_process(store, *arguments)
    assert done.returncode == code
    assert text in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("where", "text"), [("off", "is off"), (None, "There is no store at")])
def test_a_missing_store_is_said(path: Path, where: str | None, text: str) -> None:
    done = export(where or path)
    assert done.returncode == 1
    assert text in done.stderr
