"""``manage.py otel tail`` as a process beside a site that writes to its store."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from opentelemetry.trace import SpanContext, SpanKind

from otel_django import names
from otel_django.store.writer import StoreWriter
from otel_django.tracing.span import Span
from tests.cli_kit import otel
from tests.store_spans import MS, Losses, SpanSource

PROJECT = Path(__file__).resolve().parents[2]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "django", "otel", "tail", *arguments]


def environment(store: str, **more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    return {
        **kept,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "OTEL_DJANGO_STORE": store,
        "PYTHONIOENCODING": "utf-8",
        **more,
    }


def tail(store: Path | str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return otel(store, "tail", *arguments, **more)


def tail_process(
    store: Path | str, *arguments: str, **more: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        cwd=PROJECT,
        env=environment(str(store), **more),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def fill(path: Path) -> StoreWriter:
    writer = StoreWriter(path, retention_hours=24, max_mb=64, drops=Losses())
    source = SpanSource()
    now = time.time_ns() - 60 * 10**9
    source.request("/products/", start=now, duration_ms=20)
    source.request("/checkout/", start=now + MS, duration_ms=1500, status=500)
    source.request("/about/", start=now + 2 * MS, duration_ms=300, queries=0)
    writer.accept(source.take())
    writer.release()
    return writer


def headers(output: str) -> list[str]:
    return [line.split()[2] for line in output.splitlines() if line[:1].isdigit()]


def test_once_shows_the_last_traces_oldest_first_and_plain(path: Path) -> None:
    fill(path)
    done = tail_process(path, "--once")
    assert (done.returncode, done.stderr) == (0, "")
    assert headers(done.stdout) == ["/products/", "/checkout/", "/about/"]
    assert "SELECT catalogue_product ×2" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--errors"], ["/checkout/"]),
        (["--slow", "200ms"], ["/checkout/", "/about/"]),
        (["--slow", "1s"], ["/checkout/"]),
        (["--route", "/products/"], ["/products/"]),
        (["--route", "/*o*/", "--slow", "100"], ["/checkout/", "/about/"]),
        (["--limit", "1"], ["/about/"]),
    ],
)
def test_filters_choose(path: Path, arguments: list[str], expected: list[str]) -> None:
    fill(path)
    assert headers(tail(path, "--once", *arguments).stdout) == expected


def test_json_is_one_object_a_line(path: Path) -> None:
    fill(path)
    lines = tail(path, "--once", "--json").stdout.splitlines()
    traces = [json.loads(line) for line in lines]
    assert [trace["name"] for trace in traces][-1] == "GET /about/"
    assert {span["kind"] for span in traces[0]["spans"]} == {"server", "client"}


def test_colour_can_be_forced_and_is_left_out_when_asked(path: Path) -> None:
    fill(path)
    assert "\x1b[1mGET /about/\x1b[0m" in tail(path, "--once", "--force-color").stdout
    assert "\x1b" not in tail(path, "--once", NO_COLOR="1").stdout


def test_a_terminal_without_utf_8_gets_ascii(path: Path) -> None:
    fill(path)
    done = tail_process(path, "--once", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "`- SELECT catalogue_product x2" in done.stdout


def test_follow_shows_what_happens_and_ends_at_ctrl_c(path: Path) -> None:
    process = subprocess.Popen(
        command(),
        cwd=PROJECT,
        env=environment(str(path), PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        assert "No store at" in process.stderr.readline()
        writer = fill(path)
        shown = ""
        while "/about/" not in shown:
            shown += process.stdout.readline()
        assert headers(shown) == ["/products/", "/checkout/", "/about/"]
        source = SpanSource()
        source.request("/later/", queries=0)
        writer.accept(source.take())
        writer.release()
        while "/later/" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        assert (process.returncode, errors) == (0, "")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def test_a_request_under_way_when_following_begins_is_shown_whole(path: Path) -> None:
    writer = fill(path)
    source = SpanSource()
    root = source.root("GET /slow/")
    source.query(root, time.time_ns())
    writer.accept(source.take())
    process = subprocess.Popen(
        command("--limit", "1"),
        cwd=PROJECT,
        env=environment(str(path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert "Following" in process.stderr.readline()
        root.end()
        writer.accept(source.take())
        writer.release()
        output, errors = process.communicate(timeout=20)
        assert (process.returncode, errors) == (0, "")
        assert "GET /slow/" in output
        assert "SELECT catalogue_product" in output
    finally:
        process.kill()
        process.wait()


def test_trees_are_as_wide_as_the_environment_says(path: Path) -> None:
    fill(path)
    widths = {
        columns: max(map(len, tail(path, "--once", COLUMNS=columns).stdout.splitlines()))
        for columns in ("80", "160")
    }
    assert widths == {"80": 80, "160": 160}


def test_follow_ends_after_the_limit(path: Path) -> None:
    writer = fill(path)
    process = subprocess.Popen(
        command("--follow", "--limit", "1"),
        cwd=PROJECT,
        env=environment(str(path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "Following" in process.stderr.readline()
    source = SpanSource()
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        source.request("/new/", queries=0)
        writer.accept(source.take())
        writer.release()
        time.sleep(0.2)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert headers(output) == ["/new/"]


def test_a_store_that_is_off_is_said_with_the_cure() -> None:
    done = tail_process("off")
    assert done.returncode == 1
    assert "OTEL_DJANGO_STORE" in done.stderr


def test_a_store_that_cannot_be_read_is_an_error_not_a_traceback(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    done = tail(path, "--once")
    assert done.returncode == 1
    assert "can't be read" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_store_is_said_with_what_to_do(path: Path) -> None:
    done = tail(path, "--once")
    assert (done.returncode, done.stdout) == (0, "")
    assert "open a page of your site" in done.stderr


@pytest.mark.parametrize("value", ["soon", "-5", "5h"])
def test_a_wrong_time_is_refused_with_an_example(path: Path, value: str) -> None:
    done = tail_process(path, f"--slow={value}")
    assert done.returncode == 2
    assert "write 200ms or 1.5s" in done.stderr


def checkout(source: SpanSource, start: int) -> Span:
    """A request that sends a task; what was sent."""
    root = source.root("POST /checkout/", start=start, http__route="/checkout/")
    sent = source.tracer.begin(
        "send shop.tasks.confirm",
        SpanKind.PRODUCER,
        {names.CELERY_TASK_NAME: "shop.tasks.confirm"},
        root,
        start + MS,
    )
    sent.end(start + 2 * MS)
    root.end(start + 9 * MS)
    return sent


def confirm(worker: SpanSource, sent: Span, start: int, duration_ms: int = 30) -> None:
    """The run of that task in another process."""
    context = sent.get_span_context()
    task = worker.root(
        "process shop.tasks.confirm",
        kind=SpanKind.CONSUMER,
        parent=SpanContext(context.trace_id, context.span_id, True, context.trace_flags),
        start=start,
        celery__task__name="shop.tasks.confirm",
        celery__worker="worker@shop",
        celery__task__queue_wait=0.1,
    )
    task.end(start + duration_ms * MS)


def test_a_task_is_shown_in_the_tree_of_its_request(path: Path) -> None:
    writer = fill(path)
    source = SpanSource()
    now = time.time_ns()
    confirm(source, checkout(source, now), now + 100 * MS)
    writer.accept(source.take())
    writer.release()
    done = tail(path, "--once", "--task", "shop.tasks.*")
    assert headers(done.stdout) == ["/checkout/"]
    assert re.search(r"send shop.tasks.confirm.*\n.*\(waited\).*\n.*process", done.stdout)
    assert tail(path, "--once", "--task", "confirm").stdout == ""


def test_follow_shows_a_long_task_later_with_what_began_it(path: Path) -> None:
    writer = fill(path)
    process = subprocess.Popen(
        command("--json", "--route", "/checkout/", "--limit", "2"),
        cwd=PROJECT,
        env=environment(str(path), PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        assert "Following" in process.stderr.readline()
        source, worker = SpanSource(), SpanSource()
        now = time.time_ns()
        sent = checkout(source, now)
        writer.accept(source.take())
        writer.release()
        first = json.loads(process.stdout.readline())
        confirm(worker, sent, now + 100 * MS, 4_000)
        writer.accept(worker.take())
        writer.release()
        output, _ = process.communicate(timeout=20)
        later = json.loads(output)
        assert (first["name"], first["begun_by"]) == ("POST /checkout/", None)
        assert (later["name"], later["begun_by"]) == ("process shop.tasks.confirm", first["name"])
        assert later["trace_id"] == first["trace_id"]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
