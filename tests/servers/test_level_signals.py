"""Levels that are changed by a signal, in real servers and workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otel_django.logs.levels import Changed, levels
from tests.celery_kit import celery_worker
from tests.server_process import ROOT, Server, children_of, gunicorn, serving, uvicorn
from tests.stub_collector import StubCollector

MORE, LESS = signal.SIGRTMIN + 1, signal.SIGRTMIN + 2
SERVERS = {
    "gunicorn": gunicorn("--workers", "2"),
    "gthread": gunicorn("--worker-class", "gthread", "--threads", "2"),
    "preloaded": gunicorn("--preload"),
    "uvicorn": uvicorn(),
}


def lines(output: str) -> list[dict[str, Any]]:
    whole = output.splitlines(keepends=True)  # the last one may be half read
    return [json.loads(line) for line in whole if line.startswith("{") and line.endswith("\n")]


def wait_for(condition: Callable[[], Any], timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s"
        time.sleep(0.05)


def workers(server: Server) -> list[int]:
    return children_of(server.pid) or [server.pid]


def listens(pid: int) -> bool:
    """Whether it has got so far that the signals don't end it."""
    status = Path(f"/proc/{pid}/status").read_text()
    (caught,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")]
    return bool(int(caught, 16) >> (LESS - 1) & 1)


def shown(server: Server) -> int:
    server.get("/logs/debug/")
    return sum(line["event"] == "details of the shop" for line in lines(server.output()))


@pytest.mark.parametrize("kind", list(SERVERS))
def test_a_signal_to_one_process_has_all_of_the_site_tell_more_and_another_less(
    kind: str, tmp_path: Path
) -> None:
    with StubCollector() as collector:
        env = {
            "OTEL_DJANGO_RUN_DIR": str(tmp_path),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.base_endpoint,
            "OTEL_BLRP_SCHEDULE_DELAY": "50",
        }
        with serving(SERVERS[kind], env) as server:
            assert shown(server) == 0
            alive = workers(server)
            wait_for(lambda: all(map(listens, alive)))
            os.kill(alive[0], MORE)
            wait_for(lambda: shown(server) > 4)
            assert levels(tmp_path)["tests"] == Changed("debug")
            assert not {"django", "asyncio", "otel_django", ""} & levels(tmp_path).keys()
            for pid in alive:  # one step, though each of them hears it
                os.kill(pid, LESS)
            wait_for(lambda: shown(server) == shown(server) == shown(server))
            wait_for(lambda: levels(tmp_path) == {})
            assert workers(server) == alive


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_signal_to_a_celery_worker_reaches_the_loggers_of_its_tasks(
    pool: str, tmp_path: Path
) -> None:
    with (
        StubCollector() as collector,
        celery_worker(
            tmp_path,
            collector,
            pool=pool,
            OTEL_DJANGO_LOG_FORMAT="json",
            OTEL_DJANGO_RUN_DIR=str(tmp_path / "run"),
        ) as worker,
    ):

        def told() -> int:
            worker.runs(worker.send("tells", ""))
            return sum(line["event"] == "details of the task" for line in lines(worker.output()))

        assert told() == 0
        worker.process.send_signal(MORE)
        worker.wait_for(told)
        worker.process.send_signal(LESS)
        worker.wait_for(lambda: levels(tmp_path / "run") == {})


def test_beat_listens_too(tmp_path: Path) -> None:
    env = {
        **{key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")},
        "CELERY_BROKER": "memory://",
        "CELERY_BACKEND": "cache+memory://",
        "CELERY_FOLDER": str(tmp_path),
        "TESTS_BASE_DIR": str(tmp_path),
        "OTEL_DJANGO_RUN_DIR": str(tmp_path / "run"),
    }
    command = ["celery", "-A", "tests.celery_site.app", "beat", "-s", str(tmp_path / "schedule")]
    beat = subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, env=env)
    try:
        wait_for(lambda: listens(beat.pid), 30)
        beat.send_signal(MORE)
        wait_for(lambda: "tests" in levels(tmp_path / "run"))
    finally:
        beat.terminate()
        beat.wait(15)
