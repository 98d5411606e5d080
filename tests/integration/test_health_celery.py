"""What a web process says of real workers and a real beat that are killed, stopped or stuck."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import server_process
from tests.integration.celery_workers import (
    Process,
    celery_env,
    celery_process,
    filesystem_conf,
    migrate,
    redis_conf,
    run,
    working,
)
from tests.integration.servers import Server
from tests.stub_collector import StubCollector

APP = "tests.integration.stuck_jobs"
TOKEN = "letmein-0123456789"
HOURLY = {"tidy": {"task": f"{APP}.linger", "args": [0], "schedule": 3600.0}}
OFTEN = {"tidy": {"task": f"{APP}.linger", "args": [0], "schedule": 1.0}}


def web(port: int) -> list[str]:
    """gunicorn with the Celery app."""
    return [
        *(sys.executable, "-m", "gunicorn", "tests.integration.celery_wsgi:application"),
        *("--bind", f"127.0.0.1:{port}", "--no-control-socket", "--graceful-timeout", "5"),
    ]


class Site:
    """A web process, which is asked as a machine with a token asks it."""

    def __init__(self, server: server_process.Server) -> None:
        self._server = server
        self.said: list[dict[str, Any]] = []

    def check(self, name: str) -> dict[str, Any]:
        answer = self._server.get(f"/health/?check={name}", Authorization=f"Bearer {TOKEN}")
        found: dict[str, Any] = json.loads(answer.body)["checks"][name]
        self.said.append(found)
        return found

    def wait_for(self, name: str, status: str, text: str = "", timeout_s: float = 120) -> None:
        """Until the check has that status and ``text`` in its message."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = self.check(name)
            if found["status"] == status and text in found["message"]:
                return
            assert time.monotonic() < deadline, found
            time.sleep(0.2)

    def stays(self, name: str, status: str, for_s: float) -> None:
        end = time.monotonic() + for_s
        while time.monotonic() < end:
            found = self.check(name)
            assert found["status"] == status, found
            time.sleep(0.2)


@contextlib.contextmanager
def site(env: dict[str, str]) -> Iterator[Site]:
    own = {**env, "OTEL_DJANGO_TOKENS": TOKEN, "OTEL_DJANGO_HEALTH_TTL": "1"}
    with server_process.serving(web, own) as server:
        yield Site(server)


@pytest.fixture
def collector() -> Iterator[StubCollector]:
    with StubCollector() as running:
        yield running


def short_env(
    collector: StubCollector, folder: Path, conf: dict[str, Any], **more: str
) -> dict[str, str]:
    """Looks and notes are made each second, so what is away for three of them is missing."""
    return celery_env(
        collector,
        folder,
        conf,
        METRICS_COLLECTION_INTERVAL="1",
        OTEL_DJANGO_RUN_DIR=str(folder / "run"),
        **more,
    )


@pytest.fixture(params=["redis with the table", "filesystem without"])
def env(request: pytest.FixtureRequest, collector: StubCollector, tmp_path: Path) -> dict[str, str]:
    if request.param == "filesystem without":
        return short_env(collector, tmp_path, filesystem_conf(tmp_path / "broker"))
    made = short_env(collector, tmp_path, redis_conf(request.getfixturevalue("redis")))
    migrate(made)
    return made


@pytest.fixture
def redis_env(redis: Server, collector: StubCollector, tmp_path: Path) -> dict[str, str]:
    made = short_env(collector, tmp_path, redis_conf(redis), OTEL_DJANGO_STUCK_S="4")
    migrate(made)
    return made


def worker(env: dict[str, str], *options: str) -> contextlib.AbstractContextManager[Process]:
    return working(env, "--hostname", "one@here", *options, app=APP)


def beat(env: dict[str, str], schedule: Any) -> contextlib.AbstractContextManager[Process]:
    own = {**env, "TESTS_SCHEDULE": json.dumps(schedule)}
    file = Path(env["TESTS_BASE_DIR"], "beat-schedule")
    return celery_process(
        ["-m", "celery", "-A", APP, "beat", "--loglevel", "INFO", "--schedule", str(file)], own
    )


def send(task: str, *arguments: object, env: dict[str, str]) -> None:
    code = f"import django; django.setup(); from {APP} import {task}; {task}.delay(*{arguments!r})"
    quiet = {**env, "OTEL_SDK_DISABLED": "true"}
    run("-c", code, env=quiet)


def signal_group(process: Process, number: int) -> None:
    os.killpg(process.process.pid, number)


def test_C6_a_worker_that_is_stopped_goes_on_is_killed_and_replaced_is_seen_without_a_ping(
    env: dict[str, str],
) -> None:
    with worker(env, "--concurrency", "1") as one, site(env) as web:  # the worker looks itself
        web.wait_for("celery_workers", "healthy")
        while "instances" not in web.check("celery_workers"):
            time.sleep(0.2)
        signal_group(one, signal.SIGSTOP)
        web.wait_for("celery_workers", "unhealthy", "Not heard of")
        signal_group(one, signal.SIGCONT)
        web.wait_for("celery_workers", "healthy")
        signal_group(one, signal.SIGKILL)
        web.wait_for("celery_workers", "unhealthy", "Not heard of")
        with worker(env, "--concurrency", "1"):
            web.wait_for("celery_workers", "healthy")


def test_a_worker_whose_loop_is_stuck_and_one_whose_pool_is_stuck_are_seen(
    redis_env: dict[str, str],
) -> None:
    env = redis_env
    with worker(env, "--concurrency", "1"), site(env) as web:
        web.wait_for("celery_workers", "healthy")
        send("linger", 10, env=env)
        web.wait_for("celery_workers", "unhealthy", "No free place for a task")
        web.wait_for("celery_workers", "healthy")
        send("stop_loop", env=env)
        web.wait_for("celery_workers", "unhealthy", "Its loop hasn't turned")
        web.wait_for("celery_workers", "healthy")


def test_a_solo_worker_with_a_long_task_is_not_stuck(redis_env: dict[str, str]) -> None:
    env = {**redis_env, "OTEL_DJANGO_STUCK_S": "600"}
    with worker(env, "--pool", "solo") as one, site(env) as web:
        send("linger", 8, env=env)
        one.wait_for("lingering")
        web.stays("celery_workers", "healthy", 7)


def test_a_worker_that_shuts_down_is_no_alarm_while_it_finishes_nor_when_it_is_cut_off(
    redis_env: dict[str, str],
) -> None:
    env = redis_env
    with worker(env, "--concurrency", "1") as one, site(env) as web:
        web.wait_for("celery_workers", "healthy")
        send("linger", 60, env=env)
        one.wait_for("lingering")
        one.process.terminate()
        time.sleep(0.5)
        signal_group(one, signal.SIGKILL)
        web.stays("celery_workers", "healthy", 8)
        with worker(env, "--concurrency", "1") as another:
            web.wait_for("celery_workers", "healthy")
            send("linger", 7, env=env)
            another.wait_for("lingering")
            another.process.terminate()
            web.stays("celery_workers", "healthy", 6)


def test_a_beat_that_is_killed_is_seen_and_one_that_ends_or_comes_back_is_no_alarm(
    env: dict[str, str],
) -> None:
    with site({**env, "TESTS_SCHEDULE": json.dumps(HOURLY)}) as web:
        with beat(env, HOURLY) as one:
            one.wait_for("beat: Starting")
            web.wait_for("celery_beat", "healthy")
            while web.check("celery_beat").get("observed", {}).get("alive") != 1:
                time.sleep(0.2)
            signal_group(one, signal.SIGKILL)
            web.wait_for("celery_beat", "unhealthy", "Not heard of")
        with beat(env, HOURLY) as another:
            web.wait_for("celery_beat", "healthy")
            another.terminate()
            web.wait_for("celery_beat", "healthy", "No beat is there.")
            web.stays("celery_beat", "healthy", 5)


def test_C2_a_beat_that_never_ran_is_missed_where_the_app_has_a_schedule(
    env: dict[str, str],
) -> None:
    with site({**env, "TESTS_SCHEDULE": json.dumps(OFTEN)}) as web:
        web.wait_for("celery_beat", "unhealthy", "No beat is there. Runs of tidy")
        with beat(env, OFTEN):
            web.wait_for("celery_beat", "healthy")
