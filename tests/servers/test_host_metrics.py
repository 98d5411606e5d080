"""What a host's processes count is the same number in their folder and at the receiver."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from otel_django.metrics.host_folder import HostFolder
from tests.celery_kit import celery_worker
from tests.server_process import ROOT, Server, gunicorn, serving
from tests.stub_collector import StubCollector

DURATION = "http.server.request.duration"


@pytest.fixture
def collector() -> Iterator[StubCollector]:
    with StubCollector() as running:
        yield running


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


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "preload"])
def test_P1_four_workers_recycled_count_each_request_once(
    collector: StubCollector, tmp_path: Path, preload: tuple[str, ...]
) -> None:
    command = gunicorn("--workers", "4", "--max-requests", "50", *preload)
    env = env_for(collector, tmp_path)
    total = 0
    for count in (250, 60):  # the second server goes on where the first has left off
        total += count
        with serving(command, env) as server:
            assert get_many(server, count) == count
            server.terminate()
        assert counted(tmp_path) == total
        assert exported(collector)[-1][1].count == total
    points = exported(collector)
    assert len({instance for instance, _ in points}) == 1
    assert len({point.start_time_unix_nano for _, point in points}) == 1
    assert list((tmp_path / "shop").glob("*.sums")) == []


def test_N2_workers_that_are_killed_never_make_a_counter_fall(
    collector: StubCollector, tmp_path: Path
) -> None:
    seen: list[float] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            seen.append(counted(tmp_path))

    env = env_for(collector, tmp_path, OTEL_METRIC_EXPORT_INTERVAL="500")
    with serving(gunicorn("--workers", "4", "--max-requests", "50"), env) as server:
        get_many(server, 40)
        wait_until(lambda: counted(tmp_path) == 40)
        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        for _ in range(5):
            get_many(server, 30)
            time.sleep(0.4)
            kill(server)
        done.set()
        watcher.join()
        assert server.terminate() < 8
    assert len(seen) > 30
    assert seen == sorted(seen)
    assert seen[-1] > seen[0] >= 40
    counts = [point.count for _, point in exported(collector)]
    assert counts == sorted(counts)
    assert counts[-1] == counted(tmp_path)


def test_when_the_exporting_process_is_killed_another_goes_on_without_a_gap_or_a_repeat(
    collector: StubCollector, tmp_path: Path
) -> None:
    env = env_for(
        collector,
        tmp_path,
        OTEL_METRIC_EXPORT_INTERVAL="1000",
        OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE="delta",
    )

    def arrived() -> int:
        return sum(point.count for _, point in exported(collector))

    with serving(gunicorn("--workers", "3"), env) as server:
        total = get_many(server, 60)
        wait_until(lambda: arrived() == total)
        for _ in range(2):
            kill(server, _holder(tmp_path / "shop" / "exporter.lock"))
            total += get_many(server, 60)
            wait_until(lambda expected=total: arrived() == expected)  # type: ignore[misc]
        total += get_many(server, 10)
        server.terminate()
    assert arrived() == total == counted(tmp_path)
    points = [point for _, point in exported(collector)]
    for before, after in itertools.pairwise(points):
        assert before.time_unix_nano <= after.start_time_unix_nano


def _holder(lock: Path) -> int:
    """The process that holds it (Linux)."""
    inode = lock.stat().st_ino
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()
        if fields[5].endswith(f":{inode}"):
            return int(fields[4])
    raise AssertionError("nobody holds it")


def test_two_services_in_one_folder_keep_apart(collector: StubCollector, tmp_path: Path) -> None:
    env = env_for(collector, tmp_path)
    with (
        serving(gunicorn("--workers", "2"), env) as shop,
        serving(gunicorn("--workers", "2"), {**env, "OTEL_SERVICE_NAME": "other"}) as other,
    ):
        assert (get_many(shop, 20), get_many(other, 30)) == (20, 30)
        shop.terminate()
        other.terminate()
    assert counted(tmp_path) == 20
    last = {instance: point.count for instance, point in exported(collector)}
    assert sorted(last.values()) == [20, 30]


def test_P1_children_of_a_pool_count_each_task_once(
    collector: StubCollector, tmp_path: Path
) -> None:
    recycled = ("--max-tasks-per-child", "10")
    environ: dict[str, Any] = env_for(collector, tmp_path / "run", OTEL_TRACES_EXPORTER="otlp")
    with celery_worker(tmp_path, collector, *recycled, **environ) as worker:
        for number in range(45):
            worker.send("work", number)
        collector.wait_for_spans(90, timeout_s=60)
        worker.stop()
    assert counted(tmp_path / "run", "tests.worked") == 45


FAMILY = """
    import multiprocessing, os, sys
    import django

    def work(number):
        if os.environ["METHOD"] != "fork":
            django.setup()
        from otel_django import counter
        counter("tests.worked").add(number)

    if __name__ == "__main__":
        django.setup()
        work(1)
        context = multiprocessing.get_context(os.environ["METHOD"])
        children = [context.Process(target=work, args=(10,)) for _ in range(3)]
        for child in children: child.start()
        for child in children: child.join()
        work(1)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_P1_multiprocessing_children_begin_at_zero(
    collector: StubCollector, tmp_path: Path, method: str
) -> None:
    script = tmp_path / "family.py"
    script.write_text(textwrap.dedent(FAMILY))
    env = env_for(
        collector,
        tmp_path / "run",
        METHOD=method,
        DJANGO_SETTINGS_MODULE="tests.settings",
        PYTHONPATH=str(ROOT),
        PATH=os.environ["PATH"],
        TESTS_BASE_DIR=str(tmp_path),
    )
    subprocess.run([sys.executable, str(script)], env=env, check=True, timeout=60)
    assert counted(tmp_path / "run", "tests.worked") == 32
