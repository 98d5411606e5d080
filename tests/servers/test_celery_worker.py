"""Celery's worker processes: each task has one span, whatever becomes of it and its process."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.celery_kit import CeleryWorker, celery_worker
from tests.server_process import ROOT
from tests.stub_collector import StubCollector


@contextlib.contextmanager
def running(folder: Path, *options: str, **choices: Any) -> Iterator[CeleryWorker]:
    with StubCollector() as collector, celery_worker(folder, collector, *options, **choices) as one:
        yield one


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CeleryWorker]:
    """A worker for several tests: each looks at its own task's trace only."""
    with running(tmp_path_factory.mktemp("worker"), concurrency=2) as one:
        yield one
        one.stop()
        assert one.collector.counts()["duplicates"] == 0
        assert "otel_django failed" not in one.output()


def test_C3_a_warm_shutdown_loses_nothing(tmp_path: Path) -> None:
    with running(tmp_path) as worker:
        sent = [worker.send("work", number) for number in range(20)]
        late = worker.send("linger", 1.0, str(tmp_path / "mark"))
        worker.wait_for((tmp_path / "mark").exists)
        worker.stop()
        for one in sent:
            worker.run(one, "SUCCESS", "step")
        worker.run(late, "SUCCESS", "step")
        worker.assert_only_of(*sent, late)


def test_a_failure_is_told_by_the_child(worker: CeleryWorker) -> None:
    span = worker.run(worker.send("failing"), "FAILURE", "step")
    assert span["attributes"]["error.type"] == "ValueError"
    assert span["resource"]["process.pid"] in worker.children


@pytest.mark.parametrize(
    ("task", "state"), [("rejected", "REJECTED"), ("ignored", "IGNORED"), ("work", "SUCCESS")]
)
def test_rejecting_ignoring_and_returning_end_the_span(
    worker: CeleryWorker, task: str, state: str
) -> None:
    worker.run(worker.send(task), state, "step")


def test_each_retry_is_a_run_below_the_one_that_sent_it(worker: CeleryWorker) -> None:
    first, second, third = worker.runs(sent := worker.send("retried"), 3)
    states = [span["attributes"]["celery.task.state"] for span in (first, second, third)]
    assert states == ["RETRY", "RETRY", "SUCCESS"]
    by_id = {span["span_id"]: span for span in worker.spans(sent)}
    for before, after in ((first, second), (second, third)):
        assert by_id[after["parent_span_id"]]["parent_span_id"] == before["span_id"]


def test_the_soft_limit_lets_the_task_end(worker: CeleryWorker) -> None:
    worker.run(worker.send("soft_limited"), "SUCCESS", "step", "clean up")


def test_the_hard_limit_is_told_by_the_main_process_and_keeps_what_was_recorded(
    worker: CeleryWorker,
) -> None:
    span = worker.run(worker.send("hard_limited"), "FAILURE", "step", "wait")
    assert span["attributes"]["error.type"] == "billiard.exceptions.TimeLimitExceeded"
    assert span["status"]["code"] == 2
    assert span["resource"]["process.pid"] == worker.process.pid
    assert 0.8e9 < span["end_ns"] - span["start_ns"] < 10e9


def test_sys_exit_in_a_task_is_told_once(worker: CeleryWorker) -> None:
    span = worker.run(worker.send("exiting"), "FAILURE", "step", timeout_s=30)
    assert span["attributes"]["error.type"] == "SystemExit"


def test_C1_an_unregistered_task_is_told_and_nothing_hangs_below_it(worker: CeleryWorker) -> None:
    span = worker.run(worker.send("nowhere"), "FAILURE")
    assert span["attributes"]["error.type"] == "celery.exceptions.NotRegistered"
    worker.run(worker.send("work"), "SUCCESS", "step")


@pytest.mark.parametrize(
    ("headers", "body", "error_type"),
    [
        ({"eta": "nonsense"}, b"[[], {}, {}]", "celery.exceptions.InvalidTaskError"),
        ({}, b"[[", "kombu.exceptions.DecodeError"),
    ],
)
def test_a_message_that_cannot_be_read_is_told_of(
    worker: CeleryWorker, headers: dict[str, str], body: bytes, error_type: str
) -> None:
    sent = worker.send_raw("work", body, headers)
    span = worker.run(sent, "REJECTED")
    assert span["attributes"]["error.type"] == error_type
    assert span["status"]["code"] == 2


def test_an_expired_task_is_told_once(worker: CeleryWorker) -> None:
    past = datetime.now(timezone.utc) - timedelta(seconds=5)
    span = worker.run(worker.send("work", expires=past), "REVOKED")
    assert span["attributes"]["celery.task.revoke.reason"] == "expired"
    assert span["status"]["code"] == 0
    assert "celery.task.queue_wait" not in span["attributes"]


def test_a_task_that_is_revoked_while_it_waits_is_told_once(worker: CeleryWorker) -> None:
    sent = worker.send("work", countdown=4)
    worker.wait_for(lambda: f"{sent.id}] received" in worker.output())
    worker.client.control.revoke(sent.id)
    span = worker.run(sent, "REVOKED", timeout_s=20)
    assert span["attributes"]["celery.task.revoke.reason"] == "revoked"


def test_C6_observed_processes_send_no_worker_control_commands(worker: CeleryWorker) -> None:
    program = """
        import time, django
        django.setup()
        from tests.celery_site.app import work
        work.delay()
        time.sleep(1)
        """
    environ = {**worker.environ, "OTEL_DJANGO_ENABLED": "true"}
    command = [sys.executable, "-c", textwrap.dedent(program)]
    subprocess.run(command, cwd=ROOT, env=environ, check=True, timeout=60)
    worker.client.control.revoke("of a test")
    worker.wait_for(worker.control_commands)
    assert set(worker.control_commands()) == {"revoke"}


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_pools_without_children_tell_each_task_once(tmp_path: Path, pool: str) -> None:
    with running(tmp_path, pool=pool) as worker:
        done = worker.send("work")
        failed = worker.send("failing")
        worker.run(done, "SUCCESS", "step")
        worker.run(failed, "FAILURE", "step")
        expired = worker.send("work", expires=datetime.now(timezone.utc) - timedelta(seconds=5))
        worker.run(expired, "REVOKED")
        worker.stop(signal.SIGTERM)
        worker.assert_only_of(done, failed, expired)
