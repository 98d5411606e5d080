"""Logs and metrics are delivered as traces are: kept while the receiver is away, read answers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from otel_django.metric_points import Metric, NumberPoint, ResourceMetrics
from otel_django.pipeline import otlp_logs, otlp_metrics
from otel_django.pipeline.drops import Drops
from otel_django.pipeline.metric_sender import MetricSender
from otel_django.pipeline.sender import OtlpSender
from otel_django.pipeline.spool import Spool
from tests.delivery_kit import Protocol, files_below, make_sender, run_until, soon
from tests.unit.test_otlp_logs import make_record

if TYPE_CHECKING:
    from tests.stub_collector import StubCollector


class Kind(NamedTuple):
    """How one signal is sent and read back."""

    signal: str
    sender: type[OtlpSender]
    encode: Any

    def items(self, *names: str) -> list[Any]:
        if self.signal == "logs":
            return [make_record(body=name) for name in names]
        points = (NumberPoint((), 1, 1, 2),)
        return [
            ResourceMetrics({}, tuple(Metric(name, "1", "", "counter", points) for name in names))
        ]

    def names(self, requests: list[bytes]) -> list[str]:
        if self.signal == "logs":
            return [
                record.body.string_value
                for request in requests
                for resource in ExportLogsServiceRequest.FromString(request).resource_logs
                for scope in resource.scope_logs
                for record in scope.log_records
            ]
        return [
            metric.name
            for request in requests
            for resource in ExportMetricsServiceRequest.FromString(request).resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]


KINDS = [
    Kind("logs", OtlpSender, otlp_logs.encode_request),
    Kind("metrics", MetricSender, otlp_metrics.encode_request),
]


class Line:
    """A sender of one signal to the stub collector, and what arrived since it was made."""

    def __init__(
        self, kind: Kind, collector: StubCollector, spool_dir: Path, protocol: Protocol
    ) -> None:
        self.kind = kind
        self.drops = Drops()
        self._collector = collector
        self._before = len(collector.raw_bodies(kind.signal))
        grpc = protocol == "grpc"
        self.sender = make_sender(
            collector.grpc_endpoint if grpc else f"{collector.base_endpoint}/v1/{kind.signal}",
            spool_dir,
            protocol=protocol,
            encoder=kind.encode,
            signal=kind.signal,
            kind=kind.sender,
            drops=self.drops,
        )

    def send(self, *names: str) -> None:
        items = self.kind.items(*names)
        if isinstance(self.sender, MetricSender):
            self.sender.take(items)
        else:
            self.sender.accept(items)

    def arrived(self) -> list[str]:
        return self.kind.names(self._collector.raw_bodies(self.kind.signal)[self._before :])


@pytest.fixture(params=KINDS, ids=lambda kind: kind.signal)
def line(
    request: pytest.FixtureRequest, collector: StubCollector, spool_dir: Path, protocol: Protocol
) -> Line:
    return Line(request.param, collector, spool_dir, protocol)


def test_a_batch_arrives(line: Line) -> None:
    line.send("a", "b")
    assert line.arrived() == ["a", "b"]
    line.sender.close(soon())
    assert line.drops.snapshot() == {}


def test_P2_what_a_receiver_that_is_away_misses_comes_in_order_when_it_is_back(
    line: Line, collector: StubCollector, spool_dir: Path
) -> None:
    collector.set_mode("unavailable")
    line.send("a", "b")
    line.send("c")
    [folder] = spool_dir.iterdir()
    assert folder.name.startswith(f"{line.kind.signal}-")
    collector.set_mode("ok")
    run_until(line.sender, lambda: line.arrived() == ["a", "b", "c"])
    line.sender.close(soon())
    assert files_below(spool_dir) == []
    assert line.drops.snapshot() == {}


def test_P2_the_end_of_the_process_does_not_wait_and_another_process_sends_the_rest(
    line: Line, collector: StubCollector, spool_dir: Path, protocol: Protocol
) -> None:
    collector.set_mode("unavailable")
    line.send("a", "b")
    start = time.monotonic()
    line.sender.close(time.monotonic() + 2)
    assert time.monotonic() - start < 1
    collector.set_mode("ok")
    heir = Line(line.kind, collector, spool_dir, protocol)
    run_until(heir.sender, lambda: heir.arrived() == ["a", "b"])
    heir.sender.close(soon())
    assert line.drops.snapshot() == {}


def test_P3_partial_success_is_counted(line: Line, collector: StubCollector) -> None:
    collector.set_mode("partial", rejected=1, message="too old")
    line.send("a", "b")
    assert line.drops.snapshot() == {(line.kind.signal, "rejected"): 1}
    line.sender.close(soon())


def test_a_refusal_is_counted_in_records_or_metrics(line: Line, collector: StubCollector) -> None:
    collector.set_mode("bad_request")
    line.send("a", "b", "c")
    assert line.drops.snapshot() == {(line.kind.signal, "rejected"): 3}
    line.sender.close(soon())


def test_all_signals_share_the_budget_of_the_spool(spool_dir: Path) -> None:
    logs = Spool(spool_dir, max_bytes=1 << 20, signal="logs")
    logs.append(b"x" * 700_000, 1)
    spans = Spool(spool_dir, max_bytes=1 << 20, signal="traces")
    with pytest.raises(Exception, match="has reached its 1 MiB"):
        spans.append(b"x" * 700_000, 1)
    logs.close()


def test_no_signal_takes_over_what_another_left(spool_dir: Path) -> None:
    logs = Spool(spool_dir, max_bytes=1 << 20, signal="logs")
    logs.append(b"x", 1)
    logs.close()
    assert Spool(spool_dir, max_bytes=1 << 20, signal="metrics").adopt_orphans() == 0
    assert Spool(spool_dir, max_bytes=1 << 20, signal="logs").adopt_orphans() == 1
