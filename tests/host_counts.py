"""What a host's processes have counted: in their folder, and at the receiver."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from otel_django.metrics.host_folder import HostFolder
from tests.server_process import Server
from tests.stub_collector import StubCollector

DURATION = "http.server.request.duration"


def env_for(collector: StubCollector, run_dir: Path, **more: str) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.base_endpoint,
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_DJANGO_RUN_DIR": str(run_dir),
        **more,
    }


def counted(run_dir: Path, name: str = DURATION, route: str = "/plain/") -> float:
    """What all processes of the service have shown so far, as one that reads it sees it."""
    table = HostFolder(run_dir / "shop", pause=lambda: None).read()
    total = 0.0
    for key, group in table.groups.items():
        for series in group.series.values():
            if key.name == name and dict(series.point.attributes).get("http.route", route) == route:
                point: Any = series.point
                total += point.value if key.kind == "counter" else point.count
    return total


def exported(collector: StubCollector, route: str = "/plain/") -> list[tuple[str, Any]]:
    """Points of the requests' duration in the order of arrival, with their instance."""
    found = []
    for body in collector.raw_bodies("metrics"):
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            of = {one.key: one.value.string_value for one in resource.resource.attributes}
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.histogram.data_points if metric.name == DURATION else ():
                        values = {one.value.string_value for one in point.attributes}
                        found += [(of["service.instance.id"], point)] if route in values else []
    return found


def wait_until(condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "still not so"
        time.sleep(0.05)


def get_many(server: Server, count: int) -> int:
    """How many of the requests were answered: a worker that is killed takes one with it."""

    def one(_: int) -> bool:
        try:
            return server.get("/plain/").status == 200
        except OSError:
            return False

    with ThreadPoolExecutor(4) as pool:
        return sum(pool.map(one, range(count)))


def kill(server: Server, pid: int | None = None) -> None:
    """SIGKILL to one of its workers, any or that one; its locks are free when this returns."""
    children = {child.pid for child in psutil.Process(server.pid).children()}
    chosen = pid or min(children)
    assert chosen in children
    victim = psutil.Process(chosen)
    os.kill(chosen, signal.SIGKILL)
    victim.wait(10)
