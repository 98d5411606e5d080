"""What is measured of tasks, with a worker in this process."""

from __future__ import annotations

from typing import Any

import pytest

from otel_django import metric_definitions as metrics
from otel_django.testing import Captured, capture
from tests.unit.test_celery import add, fail, ignore, reject, retry, wait_for, worker

__all__ = ["worker"]


def states(captured: Captured) -> dict[str, float]:
    """Runs by state."""
    return {
        metric.attributes["celery.task.state"]: metric.value
        for metric in captured.metrics
        if metric.name == "celery.task.executions"
    }


def active(captured: Captured) -> list[float]:
    """Tasks that run now."""
    return [one.value for one in captured.metrics if one.name == "celery.task.active"]


def ended(captured: Captured, count: int) -> None:
    wait_for(lambda: sum(states(captured).values()) == count)


@pytest.mark.parametrize(
    ("task", "args", "expected"),
    [
        (add, (1, 2), {"success": 1}),
        (fail, (), {"failure": 1}),
        (retry, (), {"retry": 1, "success": 1}),
        (reject, (), {"rejected": 1}),
        (ignore, (), {"ignored": 1}),
    ],
)
def test_each_run_counts_once_in_its_state(
    worker: None, task: Any, args: tuple[int, ...], expected: dict[str, float]
) -> None:
    with capture() as captured:
        task.delay(*args)
        ended(captured, sum(int(count) for count in expected.values()))
        assert states(captured) == expected
        count = sum(expected.values())
        for name in ("messaging.client.sent.messages", "messaging.client.consumed.messages"):
            assert captured.metric(name, messaging__destination__name="unit").value == count
        assert captured.metric("messaging.process.duration").count == count
        assert captured.metric("messaging.client.operation.duration").count == count
        assert captured.metric("celery.task.queue_wait").count == count
        wait_for(lambda: not any(active(captured)))


def test_a_run_that_fails_says_why(worker: None) -> None:
    with capture() as captured:
        fail.delay()
        ended(captured, 1)
        metric = captured.metric("messaging.process.duration", error__type="ValueError")
    assert metric.count == 1
    assert metric.attributes["celery.task.name"] == "unit.fail"
    assert metric.attributes["messaging.operation.name"] == "process"
    assert metric.attributes["messaging.system"] == "memory"


def test_a_task_that_runs_in_place_is_no_message() -> None:
    with capture() as captured:
        add.apply((1, 2))
    assert [metric.name for metric in captured.metrics if "celery" in metric.name] == []


def test_C2_the_buckets_of_tasks_are_those_of_seconds() -> None:
    for definition in (
        metrics.MESSAGING_PROCESS_DURATION,
        metrics.MESSAGING_CLIENT_OPERATION_DURATION,
        metrics.CELERY_TASK_QUEUE_WAIT,
    ):
        assert definition.unit == "s"
        assert definition.bounds[0] <= 0.01
        assert 10.0 in definition.bounds
