"""What recycled and killed processes of a host counted is the same number everywhere."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.celery_kit import celery_worker
from tests.host_counts import counted, env_for, exported, get_many, kill, wait_until
from tests.server_process import gunicorn, serving
from tests.stub_collector import StubCollector


@pytest.fixture
def collector() -> Iterator[StubCollector]:
    with StubCollector() as running:
        yield running


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
