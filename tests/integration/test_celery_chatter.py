"""What Celery says to an instrumented broker and result store has no spans."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from kombu import Connection
from redis import Redis

from otel_django.testing import capture
from tests.integration.servers import Server, free_port, program
from tests.peers import answer_all, peer
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


def test_transactions_locks_and_prefixed_clients_of_a_channel_are_quiet_too(redis: Server) -> None:
    url = f"redis://127.0.0.1:{redis.port}/5"
    with capture() as captured:
        options = {"global_keyprefix": "shop:"}
        with Connection(url, transport_options=options) as connection:
            channel: Any = connection.default_channel
            client = channel.client
            with client.pipeline() as pipeline:
                pipeline.watch("a")
                pipeline.multi()
                pipeline.set("a", 1).execute()
            client.transaction(lambda pipe: pipe.get("a"), "a")
            with client.lock("b"):
                pass
            with Redis.from_url(url) as mine:
                assert mine.get("shop:a") == b"1"
    assert [span.name for span in captured.spans] == ["GET"]


def test_a_sentinel_transport_is_quiet_too(redis: Server) -> None:
    with sentinel(redis) as port, capture() as captured:
        url = f"sentinel://127.0.0.1:{port}"
        options = {"master_name": "main"}
        with (
            Connection(url, transport_options=options) as connection,
            connection.SimpleQueue("letters") as queue,
        ):
            queue.put("hello")
            queue.get(timeout=10).ack()
    assert captured.spans == []


@contextlib.contextmanager
def sentinel(redis: Server) -> Iterator[int]:
    """The port of a Sentinel that watches ``redis``."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder, "sentinel.conf")
        configuration.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor main 127.0.0.1 {redis.port} 1\n"
        )
        process = subprocess.Popen(
            [program("redis-server"), str(configuration), "--sentinel"], stdout=subprocess.DEVNULL
        )
        try:
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                time.sleep(0.05)
            yield port
        finally:
            process.terminate()
            process.wait(10)


def test_a_queue_service_of_amazons_is_quiet_as_a_broker_only() -> None:
    account = {
        "region_name": "eu-central-1",
        "aws_access_key_id": "id",
        "aws_secret_access_key": "key",
    }
    with peer(answer_all) as service, capture() as captured:
        url = f"http://127.0.0.1:{service.port}"
        options = {
            "region": "eu-central-1",
            "predefined_queues": {"letters": {"url": f"{url}/1/letters"}},
        }
        with Connection(f"sqs://id:key@127.0.0.1:{service.port}", transport_options=options) as sqs:
            channel: Any = sqs.default_channel
            channel.sqs("letters").delete_message(QueueUrl=url, ReceiptHandle="1")
        boto3.client("sqs", endpoint_url=url, **account).delete_message(
            QueueUrl=url, ReceiptHandle="1"
        )
    assert [span.name for span in captured.spans] == ["SQS.DeleteMessage"]
