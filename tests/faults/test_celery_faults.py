"""Celery's worker processes are killed: each task still has one span, and what hangs below it."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.celery_kit import CeleryWorker, celery_worker
from tests.delivery_kit import files_below
from tests.integration import servers
from tests.stub_collector import StubCollector

WORKER_LOST = "billiard.exceptions.WorkerLostError"
TERMINATED = "billiard.exceptions.Terminated"


@pytest.fixture(scope="module")
def redis() -> Iterator[str]:
    """The URL of a Redis: with it a worker notices at once that a child is gone."""
    with servers.redis() as server:
        yield f"redis://{server.host}:{server.port}"


_databases = itertools.count()


@contextlib.contextmanager
def running(folder: Path, broker: str, *options: str, **choices: Any) -> Iterator[CeleryWorker]:
    url = f"{broker}/{next(_databases) % 16}"
    with (
        StubCollector() as collector,
        celery_worker(folder, collector, *options, broker=url, **choices) as worker,
    ):
        yield worker


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory, redis: str) -> Iterator[CeleryWorker]:
    with running(tmp_path_factory.mktemp("worker"), redis) as one:
        yield one
        one.stop()
        assert one.collector.counts()["duplicates"] == 0
        assert "otel_django failed" not in one.output()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_child_that_is_killed_is_told_of_once(worker: CeleryWorker, number: int) -> None:
    span = worker.run(worker.send("killed", int(number)), "FAILURE", "step")
    assert span["attributes"]["error.type"] == WORKER_LOST
    assert span["end_ns"] - span["start_ns"] > 1e9
    (event,) = span["events"]
    assert "Worker exited prematurely" in event["attributes"]["exception.message"]


@pytest.mark.parametrize(
    ("task", "error_type"),
    [
        ("hard_limited", "billiard.exceptions.TimeLimitExceeded"),
        ("exiting", "SystemExit"),
    ],
)
def test_a_child_that_ends_is_told_of_once(
    worker: CeleryWorker, task: str, error_type: str
) -> None:
    below = ("step", "wait") if task == "hard_limited" else ("step",)
    span = worker.run(worker.send(task), "FAILURE", *below)
    assert span["attributes"]["error.type"] == error_type


@pytest.mark.parametrize("number", ["SIGTERM", "SIGKILL"])
def test_a_revoked_run_is_told_of_once(worker: CeleryWorker, tmp_path: Path, number: str) -> None:
    sent = worker.send("linger", 30, str(tmp_path / "mark"))
    worker.wait_for_spans(1, sent)
    worker.client.control.revoke(sent.id, terminate=True, signal=number)
    span = worker.run(sent, "REVOKED", "step")
    assert span["attributes"]["celery.task.revoke.reason"] == "terminated"


def test_what_a_hard_limit_cuts_off_is_not_lost_while_the_collector_hangs(
    tmp_path: Path, redis: str
) -> None:
    with running(tmp_path, redis) as worker:
        worker.run(worker.send("work"), "SUCCESS", "step")
        worker.collector.set_mode("hang")
        sent = worker.send("hard_limited")
        worker.wait_for(lambda: "Hard time limit" in worker.output())
        time.sleep(1)
        worker.collector.set_mode("ok")
        worker.run(sent, "FAILURE", "step", "wait", timeout_s=30)


def test_keep_errors_holds_for_a_run_that_is_killed(tmp_path: Path, redis: str) -> None:
    with running(
        tmp_path,
        redis,
        OTEL_TRACES_SAMPLER="traceidratio",
        OTEL_TRACES_SAMPLER_ARG="0.000001",
        OTEL_DJANGO_KEEP="errors",
    ) as worker:
        worker.send("work")
        sent = worker.send("hard_limited")
        worker.run(sent, "FAILURE", "step", "wait")
        worker.stop()
        worker.assert_only_of(sent)


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGINT])
def test_a_cold_shutdown_tells_of_what_it_cuts_off(tmp_path: Path, redis: str, number: int) -> None:
    with running(tmp_path, redis) as worker:
        done = worker.send("work")
        worker.run(done, "SUCCESS", "step")
        sent = [worker.send("linger", 30, str(tmp_path / f"mark{each}")) for each in range(2)]
        for each in range(2):
            worker.wait_for((tmp_path / f"mark{each}").exists)
        if number == signal.SIGINT:  # the first asks for a warm shutdown, the second insists
            worker.process.send_signal(number)
            time.sleep(0.5)
        worker.stop(number)
        for one in sent:
            assert worker.run(one, "FAILURE", "step")["attributes"]["error.type"] in {
                TERMINATED,
                WORKER_LOST,
            }
        worker.assert_only_of(done, *sent)


def test_a_task_acknowledged_late_runs_again_and_each_run_has_its_span(
    tmp_path: Path, redis: str
) -> None:
    mark = tmp_path / "mark"
    with running(tmp_path, redis) as worker:
        sent = worker.send("linger_acked_late", 30, str(mark))
        worker.wait_for(mark.exists)
        worker.wait_for_spans(1, sent)
        lost = {span["resource"]["process.pid"] for span in worker.spans(sent)}
        os.kill(lost.pop(), signal.SIGKILL)
        first, second = worker.runs(sent, 2)
        assert first["attributes"]["error.type"] == WORKER_LOST
        assert second["attributes"]["celery.task.state"] == "SUCCESS"
        assert first["span_id"] != second["span_id"]
        worker.wait_for_spans(4, sent)
        worker.assert_only_of(sent)


def test_a_killed_main_process_costs_what_runs_and_the_last_second(
    tmp_path: Path, redis: str
) -> None:
    with running(tmp_path, redis) as worker:
        done = [worker.send("work", number) for number in range(10)]
        running_task = worker.send("linger", 30, str(tmp_path / "mark"))
        worker.wait_for((tmp_path / "mark").exists)
        time.sleep(1)
        children = worker.children
        worker.process.kill()
        worker.process.wait()
        for one in done:
            worker.run(one, "SUCCESS", "step")
        time.sleep(0.5)
        assert [span["name"] for span in worker.spans(running_task)] == ["step"]
        worker.assert_only_of(*done, running_task)
        for pid in children:
            assert not is_running(pid)


def is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("mode", ["hang", "unavailable", "dead"])
def test_C3_children_of_one_task_lose_nothing_while_the_collector_is_away(
    tmp_path: Path, redis: str, mode: str
) -> None:
    with running(tmp_path, redis, "--max-tasks-per-child", "1") as worker:
        collector = worker.collector
        if mode == "dead":
            collector.kill()
        else:
            collector.set_mode(mode)
        sent = [worker.send("work", number) for number in range(40)]
        worker.wait_for(lambda: worker.output().count("task.succeeded") == 40, 60)
        if mode == "dead":
            collector.restart()
        collector.set_mode("ok")
        for one in sent:  # the main process has taken over what its children left
            worker.run(one, "SUCCESS", "step", timeout_s=30)
        spool = tmp_path / ".otel_django" / "spool"
        worker.wait_for(lambda: not [name for name in files_below(spool) if ".seg" in name], 30)
        worker.stop()
        assert files_below(spool) == []


def test_children_that_grow_too_large_lose_nothing(tmp_path: Path, redis: str) -> None:
    with running(tmp_path, redis, "--max-memory-per-child", "1000") as worker:
        sent = [worker.send("work", number) for number in range(20)]
        for one in sent:
            worker.run(one, "SUCCESS", "step", timeout_s=30)
        pids = {span["resource"]["process.pid"] for span in worker.collector.spans()}
        assert len(pids) == 20
        worker.stop()
        worker.assert_only_of(*sent)


def test_children_that_are_no_longer_needed_lose_nothing(tmp_path: Path, redis: str) -> None:
    with running(
        tmp_path,
        redis,
        "--autoscale",
        "4,1",
        AUTOSCALE_KEEPALIVE="1",
        OTEL_BSP_SCHEDULE_DELAY="4000",
    ) as worker:
        sent = [worker.send("linger", 0.3) for _ in range(12)]
        worker.wait_for(lambda: len(worker.children) > 1)
        worker.wait_for(lambda: len(worker.children) == 1, 40)
        for one in sent:
            worker.run(one, "SUCCESS", "step")
        worker.stop()
        worker.assert_only_of(*sent)


def test_a_broker_that_goes_away_while_a_task_runs_costs_no_span(tmp_path: Path) -> None:
    with servers.redis() as server:
        url = f"redis://{server.host}:{server.port}"
        worker_in = running(tmp_path, url, backend=f"file://{tmp_path / 'results'}")
        worker = worker_in.__enter__()
        sent = worker.send("linger", 3.0, str(tmp_path / "mark"))
        worker.wait_for((tmp_path / "mark").exists)
    try:
        worker.run(sent, "SUCCESS", "step", timeout_s=30)
        worker.stop(timeout_s=60)
        worker.assert_only_of(sent)
    finally:
        worker_in.__exit__(None, None, None)
