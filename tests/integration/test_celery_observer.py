"""Queues and workers as seen from outside, beside what the brokers themselves say."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery.worker import state
from kombu import Connection
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from redis import Redis

from tests.integration.celery_workers import (
    Process,
    celery_env,
    filesystem_conf,
    migrate,
    rabbitmq_conf,
    redis_conf,
    run,
    working,
)
from tests.integration.servers import Server, free_port, program
from tests.server_process import ROOT
from tests.stub_collector import StubCollector

LOOKER = """
import json, sys, django
django.setup()
from tests.integration.jobs import app
from otel_django.observers.celery_queues import CeleryQueues
seen = CeleryQueues(15.0, 3.0, lambda: ()).observe()
print(json.dumps([[one.name, one.value, dict(one.attributes)] for one in seen]))
"""
SENDER = """
import sys, django
django.setup()
from tests.integration.jobs import add
for number in range(7): add.delay(number, 1)
for number in range(5): add.apply_async((number, 1), queue="urgent", priority=number)
"""
ETA = """
import django
django.setup()
from tests.integration.jobs import add
for number in range(3): add.apply_async((number, 1), countdown=600)
"""
IDLE = {"active": 0, "reserved": 0, "scheduled": 0}
SITE = """
import time, django
django.setup()
from tests.integration.jobs import app
from opentelemetry import trace
while True:
    with trace.get_tracer("site").start_as_current_span("tick"): pass
    time.sleep(0.2)
"""


@pytest.fixture
def collector() -> Iterator[StubCollector]:
    with StubCollector() as running:
        yield running


def look(env: dict[str, str]) -> dict[tuple[str, str], float]:
    """What the observer sees, by the metric and the value of its attribute."""
    answer = json.loads(run("-c", LOOKER, env={**env, "OTEL_SDK_DISABLED": "true"}))
    return {
        (name, next(iter(attributes.values()), "")): value for name, value, attributes in answer
    }


def send(code: str, env: dict[str, str]) -> None:
    """In a process that doesn't look itself."""
    run("-c", code, env={**env, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "celery_observers"})


def lengths(seen: dict[tuple[str, str], float]) -> dict[str, float]:
    return {key[1]: value for key, value in seen.items() if key[0] == "celery.queue.length"}


def test_C2_redis_queues_are_as_long_as_redis_says_priorities_and_eta_tasks_included(
    redis: Server, collector: StubCollector, tmp_path: Path
) -> None:
    env = celery_env(collector, tmp_path, redis_conf(redis))
    migrate(env)
    assert lengths(look(env)) == {"jobs": 0, "reports": 0, "urgent": 0}
    send(SENDER, env)
    seen = look(env)
    with Redis(port=redis.port) as client:
        keys = [key for key in client.scan_iter() if client.type(key) == b"list"]
        assert sum(client.llen(key) for key in keys) == 12
        assert len([key for key in keys if key.startswith(b"urgent")]) > 1
    assert lengths(seen) == {"jobs": 7, "reports": 0, "urgent": 5}
    assert seen["celery.queue.oldest_message.age", "jobs"] > 0
    assert seen["celery.queue.oldest_message.age", "reports"] == 0
    assert seen["celery.queue.unacknowledged", ""] == 0
    with working(env, "--pool", "solo") as worker:
        send(ETA, env)
        wait_for(lambda: lengths(look(env)) == {"jobs": 0, "reports": 0, "urgent": 0})
        with Redis(port=redis.port) as client:
            wait_for(lambda: client.hlen("unacked") == 3)
        assert look(env)["celery.queue.unacknowledged", ""] == 3
        worker.terminate()


def test_C2_with_a_prefix_before_its_keys_too(
    redis: Server, collector: StubCollector, tmp_path: Path
) -> None:
    conf = {**redis_conf(redis), "broker_transport_options": {"global_keyprefix": "shop:"}}
    env = celery_env(collector, tmp_path, conf)
    send(SENDER, env)
    seen = look(env)
    assert lengths(seen) == {"jobs": 7, "reports": 0, "urgent": 5}
    assert seen["celery.queue.oldest_message.age", "jobs"] > 0


def test_C2_rabbitmqs_queues_are_as_long_as_it_says_and_missing_ones_are_left_out(
    rabbitmq: Server, collector: StubCollector, tmp_path: Path
) -> None:
    env = celery_env(collector, tmp_path, rabbitmq_conf(rabbitmq))
    with Connection(f"amqp://guest:guest@127.0.0.1:{rabbitmq.port}//") as connection:
        for queue in ("jobs", "urgent", "reports"):
            channel: Any = connection.channel()
            channel.queue_delete(queue)
    assert lengths(look(env)) == {}
    send(SENDER, env)
    seen = look(env)
    with Connection(f"amqp://guest:guest@127.0.0.1:{rabbitmq.port}//") as connection:
        channel = connection.channel()
        told = channel.queue_declare("jobs", passive=True).message_count
    assert told == 7
    assert lengths(seen) == {"jobs": 7, "urgent": 5}
    assert ("celery.queue.oldest_message.age", "jobs") not in seen


def test_C2_the_files_of_a_folder_are_counted(collector: StubCollector, tmp_path: Path) -> None:
    env = celery_env(collector, tmp_path, filesystem_conf(tmp_path / "broker"))
    send(SENDER, env)
    seen = look(env)
    assert lengths(seen) == {"jobs": 7, "reports": 0, "urgent": 5}
    assert 0 < seen["celery.queue.oldest_message.age", "jobs"] < 60


def test_a_broker_that_accepts_and_never_answers_is_given_up(
    collector: StubCollector, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        for url in (f"redis://127.0.0.1:{port}/0", f"amqp://guest:guest@127.0.0.1:{port}//"):
            env = celery_env(collector, tmp_path, {"broker_url": url})
            done = subprocess.run(
                [sys.executable, "-c", LOOKER],
                env=env,
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 1, done.stdout


# --- the whole deployment


@contextlib.contextmanager
def site(env: dict[str, str], service: str) -> Iterator[Process]:
    """A process of the site's that has the app and something to record."""
    log = Path(env["TESTS_BASE_DIR"], f"site-{service}-{time.monotonic_ns()}.log")
    own = {**env, "OTEL_DJANGO_ENABLED": "true", "OTEL_SERVICE_NAME": service}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", SITE], env=own, cwd=ROOT, stdout=output, stderr=output
        )
    try:
        yield Process(process, log)
    finally:
        process.kill()
        process.wait(10)


def wait_for(done: Callable[[], object], timeout_s: float = 40) -> None:
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.2)


class Table:
    """What is in the table of leases."""

    def __init__(self, env: dict[str, str]) -> None:
        self._path = Path(env["TESTS_BASE_DIR"], "site.sqlite3")

    def rows(self) -> dict[str, tuple[str, list[Any]]]:
        with contextlib.closing(sqlite3.connect(self._path, timeout=10)) as database:
            found = database.execute("SELECT name, owner, result FROM otel_django_lease")
            return {name: (owner, json.loads(text or "[]")) for name, owner, text in found}

    def values(self, observer: str, metric: str) -> dict[str, float]:
        _, seen = self.rows().get(observer, ("", []))
        return {
            next(reversed(attributes.values()), ""): value
            for name, value, attributes in seen
            if name == metric
        }


@pytest.fixture
def env(redis: Server, collector: StubCollector, tmp_path: Path) -> dict[str, str]:
    return observed_env(collector, tmp_path, redis_conf(redis))


def observed_env(collector: StubCollector, folder: Path, conf: dict[str, Any]) -> dict[str, str]:
    """For processes that look each second, with the table in the site's database."""
    made = celery_env(
        collector,
        folder,
        conf,
        METRICS_COLLECTION_INTERVAL="1",
        OTEL_METRIC_EXPORT_INTERVAL="1000",
    )
    migrate(made)
    return made


def commands(redis: Server, for_s: float) -> list[str]:
    """What all clients say to Redis meanwhile."""
    end = time.monotonic() + for_s
    said = []
    with Redis(port=redis.port) as client, client.monitor() as monitor:
        for one in monitor.listen():
            said.append(str(one["command"]))
            if time.monotonic() > end:
                return said
    return said


def states(table: Table) -> dict[str, float]:
    return table.values("celery.workers", "celery.workers")


def test_C6_workers_are_known_by_what_they_tell_and_a_killed_one_is_offline(
    redis: Server, env: dict[str, str]
) -> None:
    table = Table(env)
    with (
        working(env, "--pool", "solo", "--hostname", "one@here") as worker,
        working(env, "--pool", "solo", "--hostname", "two@here"),
    ):
        wait_for(lambda: states(table) == {"online": 2, "stuck": 0, "offline": 0})
        said = commands(redis, 3.0)
        assert any(command.startswith("LLEN") for command in said)
        assert not any("pidbox" in command for command in said)  # nobody is pinged or asked
        heard = table.values("celery.workers", "celery.worker.last_heartbeat")
        assert set(heard) == {"one@here", "two@here"}
        assert all(abs(time.time() - when) < 10 for when in heard.values())
        worker.process.send_signal(signal.SIGKILL)
        worker.process.wait(10)
        wait_for(lambda: states(table) == {"online": 1, "stuck": 0, "offline": 1})
    assert "celery.worker/two@here" not in table.rows()  # it said good-bye


def in_hand(table: Table) -> dict[str, float]:
    return table.values("celery.worker/one@here", "celery.worker.tasks")


@pytest.mark.parametrize("pool", ["solo", "prefork"])
def test_a_worker_tells_what_it_has_in_hand_and_how_soon_it_answers_when_idle(
    env: dict[str, str], pool: str
) -> None:
    table = Table(env)
    with working(env, "--pool", pool, "--hostname", "one@here"):
        wait_for(lambda: "celery.worker/one@here" in table.rows())
        time.sleep(2.5)  # it has found that it has nothing to do
        send(ETA.replace("600", "0"), env)
        wait_for(lambda: table.values("celery.worker/one@here", "celery.worker.response_time"))
        (answered,) = table.values("celery.worker/one@here", "celery.worker.response_time").values()
        assert 0 < answered < 5
        if hasattr(state, "scheduled_requests"):  # from Celery 5.7 on
            send(ETA, env)
            wait_for(lambda: in_hand(table).get("scheduled") == 3)
        wait_for(lambda: {**in_hand(table), "scheduled": 0} == IDLE)
        wait_for(lambda: states(table) == {"online": 1, "stuck": 0, "offline": 0})


def test_of_two_hosts_one_looks_tells_it_and_is_replaced_when_it_is_killed(
    env: dict[str, str], collector: StubCollector
) -> None:
    table = Table(env)
    send(SENDER, env)
    with site(env, "one") as one:
        wait_for(lambda: table.values("celery.queues", "celery.queue.length").get("jobs") == 7)
        owner = table.rows()["celery.queues"][0]
        with site(env, "two"):
            time.sleep(5)
            assert table.rows()["celery.queues"][0] == owner
            wait_for(lambda: ("one", 7) in exported(collector, "celery.queue.length"))
            assert {who for who, _ in exported(collector, "celery.queue.length")} == {"one"}
            one.process.kill()
            wait_for(lambda: table.rows()["celery.queues"][0] != owner)
            wait_for(lambda: ("two", 7) in exported(collector, "celery.queue.length"))


def test_a_broker_that_goes_away_is_counted_said_once_without_its_address_and_seen_again(
    collector: StubCollector, tmp_path: Path
) -> None:
    port = free_port()
    conf = {"broker_url": f"redis://:hunter2@127.0.0.1:{port}/0"}
    env = observed_env(collector, tmp_path, conf)
    table = Table(env)
    with redis_at(port):
        send(SENDER, env)
        with site(env, "one") as one:
            wait_for(lambda: table.values("celery.queues", "celery.queue.length"))
    with site(env, "one") as one:
        wait_for(lambda: exported(collector, "otel_django.observer.failures"))
        with redis_at(port):
            send(SENDER, env)
            wait_for(lambda: ("one", 7) in exported(collector, "celery.queue.length"))
            assert one.process.poll() is None
        said = one.output()
    assert said.count("celery.queues can't be observed") == 1
    assert "hunter2" not in said
    assert str(port) not in said


@contextlib.contextmanager
def redis_at(port: int) -> Iterator[None]:
    """Redis with a password, empty, on this port."""
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--requirepass", "hunter2"]
    server = subprocess.Popen(
        [program("redis-server"), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: listens(port))
        yield
    finally:
        server.terminate()
        server.wait(10)


def listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False


def exported(collector: StubCollector, metric: str) -> set[tuple[str, float]]:
    """The values of a metric that have come, with the service they came from."""
    return {
        (of["service.name"], point.as_double or point.as_int)
        for body in collector.raw_bodies("metrics")
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for of in [{one.key: one.value.string_value for one in resource.resource.attributes}]
        for scope in resource.scope_metrics
        for found in scope.metrics
        if found.name == metric
        for point in (*found.gauge.data_points, *found.sum.data_points)
    }
