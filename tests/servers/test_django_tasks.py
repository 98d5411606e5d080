"""Tasks sent by a site and run by ``db_worker``: two processes, one story."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server_process import ROOT, Server, gunicorn, serving
from tests.stub_collector import StubCollector

if importlib.util.find_spec("django_tasks_db") is None:  # it asks for Django 5.2
    pytest.skip("django-tasks-db isn't installed", allow_module_level=True)

TASK = "tests.site.django_tasks."
SECRET = b"Zx9MARKq7Zx9"


@pytest.fixture
def collector() -> Iterator[StubCollector]:
    with StubCollector() as running:
        yield running


@pytest.fixture
def env(collector: StubCollector, tmp_path: Path) -> dict[str, str]:
    """For the site and the worker; the tables are there."""
    variables = {
        "DJANGO_SETTINGS_MODULE": "tests.site.worker_settings",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.base_endpoint,
        "TESTS_BASE_DIR": str(tmp_path),
        "PYTHONPATH": str(ROOT),
    }
    run = [sys.executable, "-m", "django", "migrate", "--run-syncdb", "-v", "0"]
    subprocess.run(run, env={**plain_environ(), **variables}, check=True)
    return variables


def plain_environ() -> dict[str, str]:
    return {
        key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PYTEST_"))
    }


@contextlib.contextmanager
def worker(env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    options = ["--interval", "0.1", "--no-startup-delay", "-v", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "django", "db_worker", *options],
        env={**plain_environ(), **env},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def enqueue(server: Server, task: str) -> str:
    return server.get(f"/enqueue/?task={task}").body.decode()


def by_name(spans: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {span["name"]: span for span in spans}


def test_a_task_is_joined_to_the_request_that_sent_it(
    collector: StubCollector, env: dict[str, str]
) -> None:
    with serving(gunicorn(), env) as server, worker(env):
        task_id = enqueue(server, "greet")
        collector.wait_until(lambda _: f"process {TASK}greet" in by_name(collector.spans()))
        server.terminate()
    spans = by_name(collector.spans())
    send, process = spans[f"send {TASK}greet"], spans[f"process {TASK}greet"]
    assert send["parent_span_id"] == spans["GET /enqueue/"]["span_id"]
    assert send["attributes"]["messaging.message.id"] == task_id
    assert process["attributes"]["messaging.message.id"] == task_id
    assert process["attributes"]["django.task.status"] == "SUCCESSFUL"
    assert process["attributes"]["django.task.queue_wait"] < 10
    assert process["parent_span_id"] == ""
    (link,) = process["links"]
    assert (link["trace_id"], link["span_id"]) == (send["trace_id"], send["span_id"])
    assert spans["SELECT test_site_author"]["parent_span_id"] == process["span_id"]
    assert process["resource"]["process.pid"] != send["resource"]["process.pid"]
    # The worker's own polling, and our use of the cache, leave nothing.
    assert {span["trace_id"] for span in collector.spans()} == {
        send["trace_id"],
        process["trace_id"],
    }


def test_nothing_is_lost_when_the_worker_is_told_to_end(
    collector: StubCollector, env: dict[str, str]
) -> None:
    with serving(gunicorn(), env) as server:
        tasks = ["greet", "fail", "nest", "give_up"] * 3
        sent = {enqueue(server, task) for task in tasks}
        with worker(env) as running:
            deadline = time.monotonic() + 30
            while not sent <= (ended := processed(collector)):
                assert time.monotonic() < deadline, sent - ended
                time.sleep(0.1)
            last = enqueue(server, "fail")
            time.sleep(0.3)
            running.terminate()
            assert running.wait(10) == 0
        server.terminate()
    assert last in processed(collector)
    failed = [span for span in collector.spans() if span["name"] == f"process {TASK}fail"]
    assert [span["attributes"]["error.type"] for span in failed] == ["ValueError"] * 4
    assert [len(span["events"]) for span in failed] == [1] * 4
    assert not any(SECRET in body for body in collector.raw_bodies())


def processed(collector: StubCollector) -> set[str]:
    return {
        span["attributes"]["messaging.message.id"]
        for span in collector.spans()
        if span["name"].startswith("process ")
    }
