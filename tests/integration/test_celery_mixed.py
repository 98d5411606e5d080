"""Workers and publishers that are not of one kind: other instrumentations, protocols, headers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.celery_workers import (
    APP,
    celery_env,
    migrate,
    publish,
    redis_conf,
    run,
    wait_until_done,
    working,
)
from tests.integration.servers import Server
from tests.integration.test_celery_pools import EXPECTED, trees, words
from tests.stub_collector import StubCollector

CONTRIB = "tests.integration.contrib_jobs"


@pytest.fixture
def collector() -> Iterator[StubCollector]:
    with StubCollector() as running:
        yield running


@pytest.fixture
def env(collector: StubCollector, redis: Server, tmp_path: Path) -> dict[str, str]:
    return celery_env(collector, tmp_path, redis_conf(redis))


def unobserved(env: dict[str, str]) -> dict[str, str]:
    """Without us, for OpenTelemetry's own packages."""
    return {**env, "OTEL_DJANGO_ENABLED": "false"}


def pair(collector: StubCollector, parent: str, child: str) -> tuple[Any, Any]:
    """The two spans of one trace that there are."""
    collector.wait_for_spans(2)
    spans = {span["name"]: span for span in collector.spans()}
    assert set(spans) == {parent, child}
    assert spans[child]["parent_span_id"] == spans[parent]["span_id"]
    assert spans[child]["trace_id"] == spans[parent]["trace_id"]
    return spans[parent], spans[child]


def test_a_publish_by_contrib_and_a_run_by_us_are_one_trace(
    collector: StubCollector, env: dict[str, str]
) -> None:
    with working(env, "--concurrency", "1") as worker:
        run("-m", CONTRIB, env=unobserved(env))
        _, ours = pair(collector, f"apply_async/{APP}.add", f"process {APP}.add")
        worker.terminate()
    assert ours["attributes"]["celery.task.state"] == "SUCCESS"
    assert "celery.task.queue_wait" not in ours["attributes"]  # nobody said when it was sent


def test_a_publish_by_us_and_a_run_by_contrib_are_one_trace(
    collector: StubCollector, env: dict[str, str]
) -> None:
    with working(unobserved(env), "--pool", "threads", app=CONTRIB) as worker:
        publish("success", env=env)
        spans = collector.wait_for_spans(3)
        worker.terminate()
    case, sent, theirs = sorted(spans, key=lambda span: int(span["start_ns"]))
    assert theirs["name"] == f"run/{APP}.add"
    assert theirs["parent_span_id"] == sent["span_id"]
    assert theirs["trace_id"] == sent["trace_id"] == case["trace_id"]
    assert theirs["attributes"]["celery.state"] == "SUCCESS"


def test_messages_of_protocol_1_carry_the_trace_too(
    collector: StubCollector, redis: Server, tmp_path: Path
) -> None:
    env = celery_env(collector, tmp_path, {**redis_conf(redis), "task_protocol": 1})
    migrate(env)
    with working(env, "--concurrency", "1") as worker:
        publish("outcomes", env=env)
        spans = wait_until_done(collector, 9)
        worker.terminate()
    assert {name: words(tree) for name, tree in trees(spans).items()} == EXPECTED
    ids = [
        span["attributes"].get("messaging.message.id")
        for span in spans
        if not span["name"].startswith(("case", "SELECT", "CONNECT"))
    ]
    assert None not in ids


@pytest.mark.parametrize("propagator", ["b3", "b3multi"])
def test_a_trace_goes_on_by_the_headers_that_are_chosen(
    propagator: str, collector: StubCollector, env: dict[str, str]
) -> None:
    env = {**env, "OTEL_PROPAGATORS": propagator}
    with working(env, "--pool", "solo") as worker:
        publish("success", env=env)
        spans = wait_until_done(collector, 1)
        worker.terminate()
    assert {name: words(tree) for name, tree in trees(spans).items()} == {
        "case success": ["send add", ["process add"]]
    }
