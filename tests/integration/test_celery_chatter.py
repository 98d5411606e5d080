"""With Redis instrumented, what Celery says to its broker and result store has no spans."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from tests.integration.servers import Server
from tests.stub_collector import StubCollector

ROOT = Path(__file__).parents[2]
COMMANDS = """
import django
django.setup()
from tests.integration.neighbours.tasks import remember, remember_all
assert remember.delay("one").get(timeout=30)
assert remember_all(["two", "three"]) == 2
"""


def environment(redis: Server, collector: StubCollector, folder: str) -> dict[str, str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    return {
        **inherited,
        "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "tests.integration.neighbours.settings",
        "TESTS_BASE_DIR": folder,
        "TESTS_REDIS": f"redis://127.0.0.1:{redis.port}",
        "TESTS_MEMCACHED": "0",
        "TESTS_PEER": "",
        "OTEL_DJANGO_ENABLED": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.base_endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }


@contextlib.contextmanager
def worker(environ: dict[str, str], log: Path, *options: str) -> Iterator[None]:
    """A Celery worker, until it has ended in the ordinary way."""
    command = (sys.executable, "-m", "celery", "-A", "tests.integration.neighbours.tasks")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "worker", "-E", "--loglevel", "info", *options],
            env=environ,
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    except BaseException:
        print(log.read_text(encoding="utf-8", errors="replace"))
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_worker_on_redis_has_spans_of_tasks_and_of_the_sites_own_commands_alone(
    redis: Server, pool: str
) -> None:
    with Redis(port=redis.port) as client:
        client.flushall()
    with tempfile.TemporaryDirectory() as folder, StubCollector() as collector:
        environ = environment(redis, collector, folder)
        with worker(environ, Path(folder, "log"), "--pool", pool, "--concurrency", "2"):
            subprocess.run([sys.executable, "-c", COMMANDS], env=environ, cwd=ROOT, check=True)
            time.sleep(3)  # heartbeats go out every two seconds
        names = sorted(span["name"] for span in collector.spans())
    assert names == sorted(
        [
            *["send remember", "process remember", "SET"] * 3,
            *["send count", "process count"],
        ]
    )
