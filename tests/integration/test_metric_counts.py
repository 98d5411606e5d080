"""Clients, metrics and spans count the same, whatever becomes of the processes."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from otel_django.metrics.host_folder import HostFolder
from tests.celery_kit import celery_worker
from tests.server_process import gunicorn, serving
from tests.stub_collector import StubCollector

PATHS = {
    "/plain/": ("/plain/", 200),
    "/api/v1/articles/7/": ("/api/v1/articles/<int:pk>/", 200),
    "/raises/": ("/raises/", 500),
    "/moved/": ("/moved/", 302),
    "/nowhere": (None, 404),
}


@pytest.fixture
def collector() -> Iterator[StubCollector]:
    with StubCollector() as running:
        yield running


def counted(run_dir: Path, name: str, *keys: str) -> Counter[tuple[Any, ...]]:
    """What all processes of the host have counted, by the values of ``keys``; zeros left out."""
    counts: Counter[tuple[Any, ...]] = Counter()
    for key, group in HostFolder(run_dir / "shop", pause=lambda: None).read().groups.items():
        for series in group.series.values():
            if key.name == name:
                point: Any = series.point
                attributes = dict(point.attributes)
                value = point.count if "histogram" in key.kind else point.value
                counts[tuple(attributes.get(each) for each in keys)] += value
    return +counts


def test_requests_are_the_same_number_for_client_metrics_and_spans_by_route_and_status(
    collector: StubCollector, tmp_path: Path
) -> None:
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.base_endpoint,
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_DJANGO_RUN_DIR": str(tmp_path),
    }
    asked = list(PATHS) * 60
    with serving(gunicorn("--workers", "4", "--max-requests", "50"), env) as server:
        with ThreadPoolExecutor(4) as pool:
            statuses = list(pool.map(lambda path: server.get(path).status, asked))
        collector.wait_for_spans(len(asked))
        server.terminate()

    answered = zip(asked, statuses, strict=True)
    by_client = Counter((PATHS[path][0], status) for path, status in answered)
    keys = ("http.route", "http.response.status_code")
    by_spans = Counter(
        tuple(span["attributes"].get(key) for key in keys)
        for span in collector.spans()
        if span["kind"] == 2
    )
    assert by_client == dict.fromkeys(PATHS.values(), 60)
    measured = counted(tmp_path, "http.server.request.duration", *keys)
    assert measured.pop(("/livez", 200)) >= 1  # is it up? a probe has no span
    assert measured == by_client
    assert by_spans == by_client
    assert counted(tmp_path, "http.server.active_requests") == {}
    assert counted(tmp_path, "django.exceptions", "http.route", "error.type") == {
        ("/raises/", "ValueError"): 60
    }


def test_tasks_count_once_by_how_they_ended_though_children_are_recycled_and_killed(
    collector: StubCollector, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    environ: dict[str, Any] = {
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_DJANGO_RUN_DIR": str(run_dir),
    }

    def states() -> Counter[tuple[Any, ...]]:
        executions = counted(
            run_dir, "celery.task.executions", "celery.task.name", "celery.task.state"
        )
        return Counter(
            {(name.rpartition(".")[2], state): n for (name, state), n in executions.items()}
        )

    mark = tmp_path / "lingers"
    with celery_worker(tmp_path, collector, "--max-tasks-per-child", "10", **environ) as worker:
        for number in range(45):
            worker.send("work", number)
        for _ in range(2):
            worker.send("retried")
            worker.send("rejected")
        worker.send("hard_limited")
        worker.send("work", 0, expires=-1)
        worker.wait_for(lambda: sum(states().values()) == 45 + 6 + 2 + 1 + 1, 60)
        lingers = worker.send("linger", 60.0, str(mark))
        worker.wait_for(mark.exists)
        worker.wait_for(lambda: counted(run_dir, "celery.task.active") == {(): 1})
        worker.wait_for_spans(1, lingers)
        (child,) = {span["resource"]["process.pid"] for span in worker.spans(lingers)}
        os.kill(child, signal.SIGKILL)
        worker.wait_for(lambda: states()["linger", "failure"], 60)
        worker.stop()

    assert states() == {
        ("work", "success"): 45,
        ("work", "revoked"): 1,
        ("retried", "retry"): 4,
        ("retried", "success"): 2,
        ("rejected", "rejected"): 2,
        ("hard_limited", "failure"): 1,
        ("linger", "failure"): 1,
    }
    assert counted(run_dir, "messaging.client.consumed.messages") == {(): 56}
    assert counted(run_dir, "messaging.process.duration") == {(): 55}
    assert counted(run_dir, "celery.task.active") == {}
