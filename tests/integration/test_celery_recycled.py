"""Celery's children that end after each task: none of it is lost, none told twice."""

from __future__ import annotations

from pathlib import Path

from tests.celery_kit import celery_worker
from tests.stub_collector import StubCollector

PATIENT = {"OTEL_DJANGO_SHUTDOWN_TIMEOUT": "60"}
"""A child that ends before the receiver has answered leaves a batch to be sent again, rightly."""


def test_C3_with_one_task_a_child_a_hundred_tasks_are_a_hundred_spans(tmp_path: Path) -> None:
    options = ("--max-tasks-per-child", "1")
    with (
        StubCollector() as collector,
        celery_worker(tmp_path, collector, *options, concurrency=8, **PATIENT) as worker,
    ):
        sent = [worker.send("work", number) for number in range(100)]
        spans = worker.collector.wait_for_spans(200, timeout_s=120)
        worker.stop()
        assert len([span for span in spans if span["name"].startswith("process ")]) == 100
        assert len({span["resource"]["process.pid"] for span in spans}) == 100
        worker.assert_only_of(*sent)
