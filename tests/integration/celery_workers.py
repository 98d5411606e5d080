"""Celery workers and publishers of ``tests.integration.jobs``, each in a process of its own.

with working(celery_env(collector, broker), "--pool", "threads") as worker:
    publish("outcomes", env)
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.integration.servers import Server
from tests.server_process import ROOT
from tests.stub_collector import StubCollector

APP = "tests.integration.jobs"
Env = Mapping[str, str]


def redis_conf(server: Server) -> dict[str, Any]:
    """Redis as broker and result store; call it once a test for an empty database."""
    import redis

    client = redis.Redis(port=server.port)
    client.flushall()
    client.close()
    return {
        "broker_url": f"redis://127.0.0.1:{server.port}/0",
        "result_backend": f"redis://127.0.0.1:{server.port}/1",
    }


def rabbitmq_conf(server: Server) -> dict[str, Any]:
    """RabbitMQ, its results by messages."""
    return {
        "broker_url": f"amqp://guest:guest@127.0.0.1:{server.port}//",
        "result_backend": "rpc://",
    }


def filesystem_conf(folder: Path) -> dict[str, Any]:
    """A folder as broker, another one for results."""
    for name in ("messages", "control", "results"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return {
        "broker_url": "filesystem://",
        "broker_transport_options": {
            "data_folder_in": str(folder / "messages"),
            "data_folder_out": str(folder / "messages"),
            "control_folder": str(folder / "control"),
            "polling_interval": 0.1,
        },
        "result_backend": f"file://{folder / 'results'}",
    }


def celery_env(
    collector: StubCollector, folder: Path, conf: Mapping[str, Any], **more: str
) -> dict[str, str]:
    """What workers and publishers are started with; the site's database is in ``folder``."""
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("OTEL_", "PYTEST_", "TESTS_"))
    }
    return {
        **inherited,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "PYTHONUNBUFFERED": "1",
        "TESTS_BASE_DIR": str(folder),
        "TESTS_CELERY": json.dumps(conf),
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.base_endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        **more,
    }


def run(*arguments: str, env: Env, timeout_s: float = 120) -> str:
    """A Python process to its end; returns what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=dict(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def migrate(env: Env) -> None:
    """Make the site's tables; unobserved."""
    run(
        "-m",
        "django",
        "migrate",
        "--run-syncdb",
        "-v",
        "0",
        env={**env, "OTEL_SDK_DISABLED": "true"},
    )


def publish(name: str, *arguments: str, env: Env) -> str:
    """Run one of the functions of ``publishing``."""
    return run("-m", "tests.integration.publishing", name, *arguments, env=env)


class Process:
    """A worker or a beat; its output is in ``log``."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, text: str, timeout_s: float = 60) -> None:
        """Until it has printed that."""
        deadline = time.monotonic() + timeout_s
        while text not in self.output():
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.05)

    def terminate(self, timeout_s: float = 30) -> None:
        """A warm shutdown, to its end."""
        self.process.terminate()
        self.process.wait(timeout_s)


@contextlib.contextmanager
def working(env: Env, *options: str, app: str = APP) -> Iterator[Process]:
    """A worker that is ready; ended with a warm shutdown if the block hasn't done so."""
    command = [
        *("-m", "celery", "-A", app, "worker", "--loglevel", "INFO"),
        *("--without-mingle", "--without-gossip", "--queues", "jobs,urgent,reports"),
        *options,
    ]
    with celery_process(command, env) as worker:
        worker.wait_for("The worker is ready.")
        yield worker


@contextlib.contextmanager
def celery_process(command: list[str], env: Env) -> Iterator[Process]:
    log = Path(env["TESTS_BASE_DIR"], f"celery-{time.monotonic_ns()}.log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=dict(env),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    running = Process(process, log)
    try:
        yield running
    except BaseException:
        print(running.output()[-8000:])
        raise
    finally:
        if process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.terminate(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)  # whoever is left of its group
        process.wait(10)


def wait_until_done(
    collector: StubCollector, cases: int, timeout_s: float = 40
) -> list[dict[str, Any]]:
    """All spans, once that many cases have left and each sent task was processed."""

    def done(spans: list[dict[str, Any]]) -> bool:
        words = [span["name"].partition(" ")[0] for span in spans]
        return words.count("case") >= cases and words.count("send") == words.count("process")

    return wait_until(collector, done, timeout_s)


def wait_until(
    collector: StubCollector,
    done: Callable[[list[dict[str, Any]]], bool],
    timeout_s: float = 40,
) -> list[dict[str, Any]]:
    """All spans, once they are what ``done`` wants and no more of them have come for a while."""
    deadline = time.monotonic() + timeout_s
    while True:
        spans = collector.spans()
        if done(spans):
            time.sleep(0.5)
            later = collector.spans()
            if len(later) == len(spans):
                return spans
        assert time.monotonic() < deadline, sorted(span["name"] for span in spans)
        time.sleep(0.2)
