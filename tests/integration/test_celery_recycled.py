"""Celery's children that end after each task: none of it is lost, and none counted twice."""

from __future__ import annotations

from pathlib import Path

from tests.celery_kit import celery_worker
from tests.stub_collector import StubCollector


def test_C3_with_one_task_a_child_a_hundred_tasks_are_a_hundred_spans(tmp_path: Path) -> None:
    options = ("--max-tasks-per-child", "1")
    with (
        StubCollector() as collector,
        celery_worker(tmp_path, collector, *options, concurrency=8) as worker,
    ):
        sent = [worker.send("work", number) for number in range(100)]
        collector.wait_for_spans(200, timeout_s=120)
        worker.stop()
        # A child that ends waits 0.25 s for an answer: what comes later it leaves to be sent again.
        spans = {span["span_id"]: span for span in collector.spans()}.values()
        assert len(spans) == 200
        assert len([span for span in spans if span["name"].startswith("process ")]) == 100
        assert len({span["resource"]["process.pid"] for span in spans}) == 100
        assert {span["trace_id"] for span in spans} == {one.trace_id for one in sent}
