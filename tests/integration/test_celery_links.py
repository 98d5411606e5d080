"""Which runs belong to the trace that sent them, and which only point at it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.celery_workers import (
    APP,
    celery_env,
    celery_process,
    publish,
    redis_conf,
    wait_until_done,
    working,
)
from tests.integration.servers import Server
from tests.stub_collector import StubCollector

LINK_AFTER_1_S = {"OTEL_DJANGO_CELERY_LINK_AFTER": "1"}


@pytest.fixture
def collector() -> Iterator[StubCollector]:
    with StubCollector() as running:
        yield running


def named(spans: list[dict[str, Any]], word: str, **attributes: Any) -> dict[str, Any]:
    """The only span whose name begins so, with these attributes (``_`` for a dot)."""
    wanted = {key.replace("_", "."): value for key, value in attributes.items()}
    (found,) = [
        span
        for span in spans
        if span["name"].startswith(f"{word} ") and wanted.items() <= span["attributes"].items()
    ]
    return found


def assert_linked(run: dict[str, Any], sent: dict[str, Any]) -> None:
    """The root of a trace of its own that points at who sent it."""
    assert run["parent_span_id"] == ""
    assert run["trace_id"] != sent["trace_id"]
    assert [(link["trace_id"], link["span_id"]) for link in run["links"]] == [
        (sent["trace_id"], sent["span_id"])
    ]


def test_a_run_that_waited_longer_than_the_limit_is_a_root_with_a_link(
    collector: StubCollector, redis: Server, tmp_path: Path
) -> None:
    env = celery_env(collector, tmp_path, redis_conf(redis), **LINK_AFTER_1_S)
    publish("success", env=env)
    time.sleep(1)
    with working(env, "--pool", "solo"):
        spans = wait_until_done(collector, 1)
    sent, run = named(spans, "send"), named(spans, "process")
    assert_linked(run, sent)
    assert run["attributes"]["celery.task.queue_wait"] > 1


def test_a_run_that_was_to_be_later_is_a_root_and_its_wait_is_what_came_after_that(
    collector: StubCollector, redis: Server, tmp_path: Path
) -> None:
    env = celery_env(collector, tmp_path, redis_conf(redis), **LINK_AFTER_1_S)
    with working(env, "--pool", "threads"):
        publish("later", env=env)
        spans = wait_until_done(collector, 1)
    sent, run = named(spans, "send"), named(spans, "process")
    assert_linked(run, sent)
    assert run["start_ns"] - sent["start_ns"] > 1.9e9
    assert run["attributes"]["celery.task.queue_wait"] < 1.5


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_run_from_beat_is_a_root_that_names_its_entry_and_its_retry_is_part_of_it(
    pool: str, collector: StubCollector, redis: Server, tmp_path: Path
) -> None:
    conf = {
        **redis_conf(redis),
        "beat_schedule": {"now and then": {"task": f"{APP}.retry", "schedule": 1.0}},
    }
    env = celery_env(collector, tmp_path, conf)
    command = ["-m", "celery", "-A", APP, "beat", "--schedule", str(tmp_path / "schedule")]
    with working(env, "--pool", pool, "--concurrency", "1") as worker:
        with celery_process(command, env) as beat:
            collector.wait_until(lambda found: found["unique"] >= 4, 30)
            beat.terminate()
        wait_until_done(collector, 0)
        worker.terminate()
    spans = collector.spans()
    first = min((span for span in spans if not span["links"]), key=lambda span: span["start_ns"])
    assert first["name"] == f"send {APP}.retry"
    assert first["parent_span_id"] == ""
    assert first["attributes"]["celery.beat.entry"] == "now and then"
    (run,) = [span for span in spans if first["span_id"] in str(span["links"])]
    assert_linked(run, first)
    assert run["attributes"]["celery.beat.entry"] == "now and then"
    assert run["attributes"]["celery.task.state"] == "RETRY"
    again, second_run = sorted(
        (span for span in spans if span["trace_id"] == run["trace_id"] and span != run),
        key=lambda span: int(span["start_ns"]),
    )
    assert again["parent_span_id"] == run["span_id"]
    assert second_run["parent_span_id"] == again["span_id"]
    assert "celery.beat.entry" not in again["attributes"]
    assert "celery.beat.entry" not in second_run["attributes"]
    assert second_run["attributes"]["celery.task.state"] == "SUCCESS"
