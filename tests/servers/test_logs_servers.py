"""Lines and records of real servers and workers: what they say, whose they are, no secret."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.celery_kit import celery_worker
from tests.server_process import Server, gunicorn, runserver, serving, uvicorn
from tests.stub_collector import StubCollector

MARK = "Zx9MARKq7Zx9"
SERVERS = {
    "gunicorn": gunicorn("--access-logfile", "-"),
    "uvicorn": uvicorn("--log-level", "info"),
    "runserver": runserver("--noreload"),
}


def lines(output: str) -> list[dict[str, Any]]:
    """The lines of JSON among what a server has printed."""
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def wait_for(condition: Callable[[], Any], timeout_s: float = 15.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s"
        time.sleep(0.05)
    return found


@pytest.fixture(params=list(SERVERS))
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Server, Path]]:
    with StubCollector() as collector:
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.base_endpoint,
            "OTEL_DJANGO_STRICT": "0",
            "OTEL_DJANGO_LOG_FILE": str(tmp_path / "site.log"),
            "OTEL_DJANGO_STORE": str(tmp_path / "store.sqlite3"),
            "OTEL_BLRP_SCHEDULE_DELAY": "50",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=staging",
            "OTEL_DJANGO_TRUST_INBOUND": "always",
        }
        with serving(SERVERS[request.param], env) as running:
            running.collector = collector  # type: ignore[attr-defined]
            yield running, tmp_path


def test_the_sites_and_the_servers_loggers_come_out_the_same_way_once(
    server: tuple[Server, Path],
) -> None:
    running, folder = server
    running.get("/logs/order/7/", X_Request_ID="caller-7")
    running.get("/nowhere/", X_Request_ID="caller-8")
    running.terminate()
    found = lines(running.output())
    (order,) = [line for line in found if line["event"] == "order 7 shown"]
    assert {
        "level": "info",
        "logger": "site.logs",
        "service": "tests",
        "environment": "staging",
        "request_id": "caller-7",
        "http.route": "/logs/order/<int:pk>/",
        "order": 7,
    }.items() <= order.items()
    assert len(order["trace_id"]) == 32
    assert [line["request_id"] for line in found if line["event"] == "Not Found: /nowhere/"] == [
        "caller-8"
    ]
    finished = [line for line in found if line["event"] == "request.finished"]
    assert [(line["url.path"], line["request_id"]) for line in finished] == [
        ("/logs/order/7/", "caller-7"),
        ("/nowhere/", "caller-8"),
    ]
    assert finished[0]["trace_id"] == order["trace_id"]
    assert "GET /" not in running.output()
    in_file = [json.loads(line) for line in (folder / "site.log").read_text().splitlines()]
    assert order in in_file
    assert (folder / "site.log").stat().st_mode & 0o777 == 0o600


def test_what_uvicorn_says_at_its_end_is_sent_too(tmp_path: Path) -> None:
    with StubCollector() as collector:
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.base_endpoint,
            "OTEL_DJANGO_LOG_FORMAT": "json",
            "OTEL_DJANGO_STRICT": "0",
        }
        with serving(SERVERS["uvicorn"], env) as running:
            running.get("/plain/")
            running.terminate()
            assert "telemetry.dropped" not in running.output()
        sent = b"".join(collector.raw_bodies("logs"))
        assert b"Application shutdown complete." in sent
        assert collector.raw_bodies("metrics")


def test_no_secret_is_in_any_line_or_exported_byte(server: tuple[Server, Path]) -> None:
    running, folder = server
    running.get(
        f"/logs/secrets/?token={MARK}",
        X_Mark_Secret=MARK,
        Authorization=f"Bearer {MARK}",
        Cookie=f"sessionid={MARK}",
    )
    collector: StubCollector = running.collector  # type: ignore[attr-defined]
    wait_for(lambda: any(b"bound" in body for body in collector.raw_bodies("logs")))
    running.terminate()
    output = running.output()
    assert {"form", "bound", "failed"} <= {line["event"] for line in lines(output)}
    assert MARK not in output
    assert MARK not in (folder / "site.log").read_text()
    for body in [*collector.raw_bodies("logs"), *collector.raw_bodies("traces")]:
        at = body.find(MARK.encode())
        assert at < 0, body[max(0, at - 300) : at + 60]
    for path in folder.glob("store*"):
        assert MARK.encode() not in path.read_bytes()


def test_without_the_log_of_requests_the_servers_access_lines_are_there() -> None:
    env = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "request_log"}
    with serving(SERVERS["gunicorn"], env) as server:
        server.get("/logs/order/7/")
        server.terminate()
        found = lines(server.output())
    access = [line for line in found if "GET /logs/order/7/" in line["event"]]
    assert [line["logger"] for line in access] == ["gunicorn.access"]


def test_off_leaves_the_output_alone_and_records_are_sent_all_the_same() -> None:
    with StubCollector() as collector:
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.base_endpoint,
            "OTEL_DJANGO_LOG_FORMAT": "off",
            "OTEL_BLRP_SCHEDULE_DELAY": "50",
        }
        with serving(gunicorn(), env) as server:
            server.get("/logs/order/7/")
            wait_for(lambda: any(b"order 7 shown" in body for body in collector.raw_bodies("logs")))
            assert lines(server.output()) == []
            assert "[INFO] Booting worker" in server.output()


def test_a_celery_workers_lines_have_task_and_trace_of_what_caused_them(tmp_path: Path) -> None:
    with (
        StubCollector() as collector,
        celery_worker(
            tmp_path,
            collector,
            "-l",
            "info",
            OTEL_DJANGO_LOG_FORMAT="json",
            OTEL_BLRP_SCHEDULE_DELAY="50",
        ) as worker,
    ):
        sent = worker.send("tells", MARK)
        worker.runs(sent)
        wait_for(lambda: any(b"told by the task" in body for body in collector.raw_bodies("logs")))
        worker.stop()
        found = lines(worker.output())
    told = [line for line in found if line["event"].startswith("told by ")]
    assert len(told) == 3
    for line in told:
        assert line["trace_id"] == sent.trace_id
        assert line["task"] == "tests.celery_site.app.tells"
        assert line["task_id"] == sent.id
    assert [line["task_id"] for line in found if line["event"] == "task.succeeded"] == [sent.id]
    assert not [line for line in found if " succeeded in " in line["event"]]
    assert not [line for line in worker.output().splitlines() if line.startswith("[20")]
    assert MARK not in worker.output()
    assert not any(MARK.encode() in body for body in collector.raw_bodies())


def test_a_level_is_changed_in_every_process_while_they_run(tmp_path: Path) -> None:
    from otel_django.logs.levels import set_level

    run_dir = tmp_path / "run"
    env = {"OTEL_DJANGO_RUN_DIR": str(run_dir), "TESTS_BASE_DIR": str(tmp_path)}
    with StubCollector() as collector:
        env["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.base_endpoint
        with serving(gunicorn("--workers", "2"), env) as server:

            def shown() -> int:
                server.get("/logs/debug/")
                return sum(line["event"] == "details" for line in lines(server.output()))

            assert shown() == 0
            set_level(run_dir, "site.logs", "debug")
            wait_for(shown)
            set_level(run_dir, "site.logs", None)
            wait_for(lambda: shown() == shown() == shown())


def test_P6_a_delivery_that_fails_is_said_here_and_never_sent_as_a_record() -> None:
    with StubCollector() as collector:
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.base_endpoint,
            "OTEL_BLRP_SCHEDULE_DELAY": "50",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "OTEL_LOG_LEVEL": "debug",
            "OTEL_DJANGO_LOG_LEVEL": "debug",
        }
        with serving(gunicorn(), env) as server:
            collector.set_mode("unavailable")
            server.get("/logs/order/1/")
            wait_for(lambda: [one for one in lines(server.output()) if is_ours(one)])
            collector.set_mode("ok")
            server.get("/logs/order/2/")
            wait_for(lambda: any(b"order 2 shown" in body for body in collector.raw_bodies("logs")))
            wait_for(lambda: any(b"order 1 shown" in body for body in collector.raw_bodies("logs")))
            server.terminate()
            said = [one["event"] for one in lines(server.output()) if is_ours(one)]
        assert 0 < len(said) < 10
        for body in collector.raw_bodies("logs"):
            assert not [text for text in said if text.encode() in body]


def is_ours(line: dict[str, Any]) -> bool:
    return bool(line["logger"] == "otel_django")
