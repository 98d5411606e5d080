"""Many tasks: each has its two spans and its query, and nothing else is in the collector."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.integration.celery_workers import celery_env, migrate, publish, redis_conf, working
from tests.integration.servers import Server
from tests.stub_collector import StubCollector

PATIENT = {"OTEL_DJANGO_CELERY_LINK_AFTER": "600"}
"""However long a task waits on a busy machine, it is part of the trace that sent it."""


@pytest.fixture
def collector() -> Iterator[StubCollector]:
    with StubCollector() as running:
        yield running


def exported(collector: StubCollector) -> list[Any]:
    """The spans as they came."""
    return [
        span
        for body in collector.raw_bodies("traces")
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def assert_each_task_has_its_spans(collector: StubCollector, count: int) -> None:
    spans = exported(collector)
    by_id = {span.span_id: span for span in spans}
    assert len(by_id) == len(spans) == 4 * count
    parents = {"process": "send", "CONNECT": "process", "SELECT": "process"}
    kinds: Counter[str] = Counter()
    below: Counter[tuple[bytes, str]] = Counter()
    for span in spans:
        kind = span.name.partition(" ")[0]
        kinds[kind] += 1
        if kind == "send":
            assert not span.parent_span_id
            continue
        parent = by_id[span.parent_span_id]
        assert parent.name.partition(" ")[0] == parents[kind]
        assert parent.trace_id == span.trace_id
        below[parent.span_id, kind] += 1
    assert kinds == dict.fromkeys(("send", "process", "CONNECT", "SELECT"), count)
    assert set(below.values()) == {1}


def test_C4_ten_thousand_tasks_have_their_spans_and_the_broker_has_none(
    collector: StubCollector, redis: Server, tmp_path: Path
) -> None:
    conf = {**redis_conf(redis), "task_ignore_result": True, "worker_prefetch_multiplier": 100}
    # So many trivial tasks are more than the governor would let through.
    more = {"OTEL_BSP_SCHEDULE_DELAY": "1000", "OTEL_DJANGO_MAX_OVERHEAD": "0", **PATIENT}
    env = celery_env(collector, tmp_path, conf, **more)
    migrate(env)
    with working(env, "--concurrency", "2", "--loglevel", "WARNING") as worker:
        publish("many", "10000", env=env)
        collector.wait_until(lambda found: found["unique"] >= 40_000, 240)
        time.sleep(5)  # idle: polling, heartbeats (each two seconds)
        worker.terminate()
    assert_each_task_has_its_spans(collector, 10_000)


def test_C4_a_command_of_the_site_to_the_same_redis_has_its_span(
    collector: StubCollector, redis: Server, tmp_path: Path
) -> None:
    env = celery_env(collector, tmp_path, redis_conf(redis))
    with working(env, "--concurrency", "1") as worker:
        publish("own_redis", env=env)
        collector.wait_for_spans(4)
        worker.terminate()
    case, sent, run, command = sorted(collector.spans(), key=lambda span: int(span["start_ns"]))
    assert [span["name"] for span in (case, sent, run, command)] == [
        "case own redis",
        "send tests.integration.jobs.ask_redis",
        "process tests.integration.jobs.ask_redis",
        "GET",
    ]
    assert command["parent_span_id"] == run["span_id"]


def test_C3_children_that_run_one_task_each_lose_nothing(
    collector: StubCollector, redis: Server, tmp_path: Path
) -> None:
    env = celery_env(collector, tmp_path, redis_conf(redis), **PATIENT)
    migrate(env)
    options = ("--concurrency", "4", "--max-tasks-per-child", "1")
    with working(env, *options) as worker:
        publish("many", "300", env=env)
        collector.wait_until(lambda found: found["unique"] >= 1200, 240)
        worker.terminate()
    assert_each_task_has_its_spans(collector, 300)
