"""What tasks are given, return and raise is in nothing that leaves, nor in the worker's own log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.celery_workers import celery_env, filesystem_conf, migrate, run, working
from tests.stub_collector import StubCollector

APP = "tests.integration.secret_jobs"
MARK = "Zx9MARKq7Zx9"
SEND_ALL = f"import django, sys; django.setup(); import {APP} as j; j.send_all(sys.argv[1])"

LINES_OF_BOTH = (
    "Received unregistered task of type 'tests.integration.gone'",
    "Received and deleted unknown message",
    "Can't decode message body",
    "TaskPool: Apply",
)
CELERYS_LINES = (
    "succeeded in ",
    'raised unexpected: RuntimeError("password=[redacted] token: [redacted]")',
    "raised unexpected: IntegrityError('database error')",
    "retry: Retry in 0s: IntegrityError('database error')",
    "retry: refused with api_key=[redacted]",
)
OUR_LINES = (
    '"event":"task.succeeded"',
    '"exception.message":"password=[redacted] token: [redacted]"',
    '"exception.message":"database error"',
    '"celery.task.retry.reason":"django.db.utils.IntegrityError: database error"',
    '"celery.task.retry.reason":"refused with api_key=[redacted]"',
)


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[StubCollector, Path]]:
    """All tasks run twice, with a receiver and then without; and the folder of all files.

    The first worker's log has our lines, the second one's Celery's.
    """
    folder = tmp_path_factory.mktemp("secrets")
    with StubCollector() as collector:
        env = celery_env(
            collector,
            folder,
            filesystem_conf(folder / "broker"),
            OTEL_DJANGO_LOG_LEVEL="debug",
            OTEL_DJANGO_STORE=str(folder / "store.sqlite3"),
            OTEL_DJANGO_SPOOL_DIR=str(folder / "spool"),
        )
        migrate(env)
        for mode, lines in (("ok", "json"), ("unavailable", "off")):
            collector.set_mode(mode)
            env["OTEL_DJANGO_LOG_FORMAT"] = lines
            with working(env, "--concurrency", "2", "--loglevel", "DEBUG", app=APP) as worker:
                run("-c", SEND_ALL, MARK, env=env)
                worker.wait_for("Can't decode message body")
                worker.wait_for("secret_jobs.Unpicklable: session=")
                worker.terminate()
        yield collector, folder


def assert_no_mark(content: bytes, where: str) -> None:
    at = content.find(MARK.encode())
    assert at < 0, (where, content[max(0, at - 400) : at + 60])


def test_no_mark_is_in_any_exported_byte(traces: tuple[StubCollector, Path]) -> None:
    collector, _ = traces
    bodies = collector.raw_bodies()
    assert sum(body.count(b"secret_jobs") for body in bodies) > 20
    for body in bodies:
        assert_no_mark(body, "exported")


def test_no_mark_is_in_the_store_or_the_spool(traces: tuple[StubCollector, Path]) -> None:
    _, folder = traces
    files = [
        path
        for path in folder.rglob("*")
        if path.is_file() and (path.name.startswith("store.") or "spool" in path.parts)
    ]
    assert any(path.name == "store.sqlite3" for path in files)
    assert any("spool" in path.parts and path.stat().st_size > 1000 for path in files)
    for path in files:
        assert_no_mark(path.read_bytes(), path.name)


def test_no_mark_is_in_the_workers_log(traces: tuple[StubCollector, Path]) -> None:
    _, folder = traces
    results = [path.read_bytes() for path in folder.glob("broker/results/*")]
    assert any(MARK.encode() in result for result in results)  # Celery's own store has them
    paths = sorted(folder.glob("celery-*.log"), key=lambda path: path.stat().st_mtime)
    ours, celerys = (path.read_bytes() for path in paths)
    for log, lines in ((ours, OUR_LINES), (celerys, CELERYS_LINES)):
        assert_no_mark(log, "log")
        for line in (*LINES_OF_BOTH, *lines):
            assert line.encode() in log, line


def test_what_was_left_out_is_still_told_apart(traces: tuple[StubCollector, Path]) -> None:
    collector, _ = traces
    found = {
        span["attributes"]["celery.task.name"].rpartition(".")[2]: span["attributes"]
        for span in collector.spans()
        if span["name"].startswith(f"process {APP}")
    }
    assert found["refuse"]["error.type"] == "RuntimeError"
    assert found["quote_a_row"]["error.type"] == "django.db.utils.IntegrityError"
