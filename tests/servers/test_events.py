"""Events of real servers and workers: once each, and told by whom they were caused."""

from __future__ import annotations

import json
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

from tests.celery_kit import CeleryWorker, Sent, celery_worker
from tests.server_process import gunicorn, serving
from tests.stub_collector import StubCollector

MARK = "Zx9MARKq7Zx9"


def events(worker: CeleryWorker, sent: Sent) -> list[dict[str, Any]]:
    """The lines of JSON that tell of a task's events."""
    found = [json.loads(line) for line in worker.output().splitlines() if line[:1] == "{"]
    return [
        line
        for line in found
        if line.get("task_id") == sent.id and line["logger"] == "otel_django.events"
    ]


def ends(worker: CeleryWorker, sent: Sent) -> list[tuple[str, str]]:
    return [
        (line["event"], line["level"])
        for line in events(worker, sent)
        if line["event"] not in {"task.received", "task.started"}
    ]


def has_ended(worker: CeleryWorker, sent: Sent, times: int) -> bool:
    return len(ends(worker, sent)) >= times


def test_each_run_of_a_task_is_told_once_by_how_it_ended(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "OTEL_DJANGO_LOG_FORMAT": "json",
        "OTEL_DJANGO_LOG_LEVEL": "debug",
    }
    with StubCollector() as collector, celery_worker(tmp_path, collector, **options) as worker:
        expected = {
            worker.send("work"): [("task.succeeded", "info")],
            worker.send("failing"): [("task.failed", "error")],
            worker.send("retried"): [
                *[("task.retried", "warning")] * 2,
                ("task.succeeded", "info"),
            ],
            worker.send("rejected"): [("task.rejected", "warning")],
            worker.send("ignored"): [("task.ignored", "info")],
            worker.send("work", 0, expires=-1): [("task.revoked", "warning")],
            worker.send("hard_limited"): [("task.failed", "error")],
            worker.send("no_such_task"): [("task.failed", "error")],
        }
        mark = tmp_path / "lingers"
        lingers = worker.send("linger", 60.0, str(mark))
        worker.wait_for(mark.exists, 30)
        for child in worker.children:
            os.kill(child, signal.SIGKILL)
        expected[lingers] = [("task.failed", "error")]
        for sent, told in expected.items():
            worker.wait_for(partial(has_ended, worker, sent, len(told)), 30)
        worker.stop()
        for sent, told in expected.items():
            assert ends(worker, sent) == told
            assert {line["trace_id"] for line in events(worker, sent) if "trace_id" in line} == {
                sent.trace_id
            }
        (work, failing, *_) = expected
        assert [line["event"] for line in events(worker, work)] == [
            "task.received",
            "task.started",
            "task.succeeded",
        ]
        output = worker.output()
    (failed,) = [line for line in events(worker, failing) if line["event"] == "task.failed"]
    assert failed["exception.message"] == "no such order"
    assert "in failing" in failed["exception.stacktrace"]
    assert output.count("ValueError: no such order") == 1
    assert " succeeded in " not in output


def test_no_secret_is_in_any_event_of_a_server() -> None:
    with StubCollector() as collector:
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.base_endpoint,
            "OTEL_DJANGO_STRICT": "0",
            "OTEL_DJANGO_SLOW_QUERY_MS": "0",
        }
        with serving(gunicorn(), env) as server:
            for path in (
                f"/reset/Mg/{MARK}/",
                "/raises-403/",
                "/raises-400/",
                "/nowhere",
                "/user/",
            ):
                server.get(
                    f"{path}?token={MARK}",
                    Authorization=f"Bearer {MARK}",
                    Cookie=f"sessionid={MARK}; csrftoken={MARK}",
                )
            server.get("/methods/", "POST", f"password={MARK}&csrfmiddlewaretoken={MARK}".encode())
            server.get("/plain/", "POST", f"password={MARK}".encode())
            server.terminate()
            output = server.output()
        told = {json.loads(line)["event"] for line in output.splitlines() if line[:1] == "{"}
        assert {"request.finished", "security.permission.denied", "security.csrf.failed"} <= told
        assert MARK not in output
        bodies = collector.raw_bodies()
        assert any(b"security.suspicious_operation" in body for body in bodies)
        assert not any(MARK.encode() in body for body in bodies)
