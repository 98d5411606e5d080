"""``manage.py otel tail`` with log records: below their spans, or on lines of their own."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from otel_django import names
from otel_django.store.writer import LogWriter, StoreWriter
from otel_django.tracing.span import Span
from tests.store_logs import record
from tests.store_spans import MS, Losses, SpanSource
from tests.unit.test_cli_tail import PROJECT, command, environment, tail


class Site:
    """Writes spans and log records as a site does."""

    def __init__(self, path: Path) -> None:
        self.spans = StoreWriter(path, retention_hours=24, max_mb=64, drops=Losses())
        self.logs = LogWriter(self.spans.file, drops=Losses())
        self.source = SpanSource()

    def request(self, route: str, start: int, **options: Any) -> Span:
        root = self.source.request(route, start=start, **options)
        self.spans.accept(self.source.take())
        self.spans.release()
        return root

    def log(self, event: str, time_ns: int, span: Span | None = None, **options: Any) -> None:
        if span is not None:
            context = span.get_span_context()
            options = {"trace_id": context.trace_id, "span_id": context.span_id, **options}
        self.logs.accept([record(event, time_ns=time_ns, **options)])
        self.spans.release()


@pytest.fixture
def now() -> int:
    return time.time_ns() - 60 * 10**9


@pytest.fixture
def site(path: Path, now: int) -> Site:
    """Two requests and what was logged."""
    made = Site(path)
    first = made.request("/products/", now, queries=2)
    made.log("products listed", now + MS // 2, first, count=3, name="two words")
    made.log("price is missing", now + 2 * MS, first, level="warning")
    made.log("price is missing", now + 3 * MS, first, level="warning")
    made.log("worker ready", now + 100 * MS, logger="celery.apps.worker")
    failing = made.request("/about/", now + 200 * MS, queries=0)
    made.log(
        "mail failed",
        now + 201 * MS,
        failing,
        level="error",
        exception__type="smtplib.SMTPException",
        exception__message="no route",
        exception__stacktrace="Traceback …",
    )
    made.log("disk is full", now + 300 * MS, level="error", logger="backup")
    return made


def test_lines_stand_below_their_spans_in_the_order_of_time(path: Path, site: Site) -> None:
    shown = tail(path, "--once").stdout
    assert re.search(
        r"GET /products/.*\n"
        r"├─ SELECT catalogue_product.*\n"
        r'├─ • products listed  count=3  name="two words"\n'
        r"└─ • WARN price is missing ×2\n",
        shown.replace("├─ SELECT catalogue_product ×2", "├─ SELECT catalogue_product"),
    )
    assert "└─ • ERROR mail failed  SMTPException: no route\n" in shown
    assert "Traceback" not in shown


def test_lines_without_a_trace_stand_between_the_traces(path: Path, site: Site) -> None:
    lines = [line[10:] for line in tail(path, "--once").stdout.splitlines() if line[:1].isdigit()]
    assert [" ".join(line.split()[:3]) for line in lines] == [
        "GET /products/ 200",
        "INFO celery.apps.worker worker",
        "GET /about/ 200",
        "ERROR backup disk",
    ]


def test_errors_are_traces_and_lines_with_errors_logged(path: Path, site: Site) -> None:
    shown = tail(path, "--once", "--errors").stdout
    assert "GET /about/" in shown
    assert "disk is full" in shown
    assert "/products/" not in shown
    assert "worker ready" not in shown


@pytest.mark.parametrize(
    ("arguments", "events"),
    [
        (["--no-logs"], []),
        (["--level", "warning"], ["price is missing", "mail failed", "disk is full"]),
        (["--level", "error"], ["mail failed", "disk is full"]),
        (["--route", "/about/"], ["mail failed"]),
    ],
)
def test_filters_choose_lines(
    path: Path, site: Site, arguments: list[str], events: list[str]
) -> None:
    shown = tail(path, "--once", *arguments).stdout
    every = ("products listed", "price is missing", "worker ready", "mail failed", "disk is full")
    assert [event for event in every if event in shown] == events


def test_json_has_the_records_of_each_trace_and_lone_ones_as_objects(
    path: Path, site: Site
) -> None:
    found = [json.loads(line) for line in tail(path, "--once", "--json").stdout.splitlines()]
    assert [len(each["logs"]) for each in found if "spans" in each] == [3, 1]
    assert [each["log"]["event"] for each in found if "log" in each] == [
        "worker ready",
        "disk is full",
    ]


def test_what_the_spans_say_is_not_repeated_unless_asked_for(
    path: Path, site: Site, now: int
) -> None:
    site.log("GET / 200", now + MS, logger="django.server", status_code=200)
    site.log("Task t received", now + MS, logger="celery.worker.strategy")
    site.log("Watching for file changes", now + MS, logger="django.server")
    request = site.request("/orders/", now + 10 * MS)
    site.log("request.finished", now + 11 * MS, request, logger="otel_django.events")
    site.log("query.slow", now + 11 * MS, request, level="warning", logger="otel_django.events")
    site.log("order.placed", now + 11 * MS, request, logger="otel_django.events")
    shown = tail(path, "--once").stdout
    assert "order.placed" in shown
    assert "request.finished" not in shown
    assert "query.slow" not in shown
    assert "request.finished" in tail(path, "--once", "--level", "info").stdout
    assert "Watching" in shown
    assert "GET / 200" not in shown
    assert "received" not in shown
    assert "GET / 200" in tail(path, "--once", "--level", "info").stdout
    assert "received" in tail(path, "--once", "--json").stdout


def test_hostile_records_stay_inert(path: Path, site: Site, now: int) -> None:
    evil = "\x1b[2J\x1b]0;owned\x07\nGET /fake/ \u202e"
    span = site.request("/evil/", now + 400 * MS, queries=0)
    for owner in (span, None):
        site.log(evil, now + 401 * MS, owner, level="error", logger=f"log{evil}", **{evil: evil})
    shown = tail(path, "--once", COLUMNS="400").stdout
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "\u202e" not in shown
    assert not re.search(r"^GET /fake/", shown, re.MULTILINE)


def test_colour_is_by_level(path: Path, site: Site) -> None:
    shown = tail(path, "--once", "--force-color").stdout
    assert "\x1b[31m• ERROR mail failed" in shown
    assert "\x1b[33m• WARN price" in shown


def test_lines_fit_the_terminal(path: Path, site: Site, now: int) -> None:
    site.log("x" * 500, now + 500 * MS, logger="l" * 300, key="v" * 300)
    lines = tail(path, "--once", COLUMNS="80").stdout.splitlines()
    assert max(map(len, lines)) == 80


def test_following_shows_lines_as_they_come_and_with_their_traces(path: Path, site: Site) -> None:
    process = subprocess.Popen(
        command("--limit", "1"),
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
        site.log("beat started", time.time_ns(), logger="beat")
        assert "beat started" in process.stdout.readline()
        now = time.time_ns()
        root = site.source.request("/later/", start=now, queries=0)
        site.log("in a trace", now + MS, root)
        site.spans.accept(site.source.take())
        site.spans.release()
        output, errors = process.communicate(timeout=20)
        assert (process.returncode, errors) == (0, "")
        assert re.search(r"GET /later/.*\n└─ • in a trace\n", output)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def test_an_exception_that_the_span_tells_of_is_told_once(path: Path, now: int) -> None:
    site = Site(path)
    root = site.source.root("GET /fail/", start=now)
    try:
        raise ValueError("no address")
    except ValueError as error:
        root.record_exception(error)
    root.end(now + MS)
    site.spans.accept(site.source.take())
    told = {names.EXCEPTION_TYPE: "ValueError", names.EXCEPTION_MESSAGE: "no address"}
    site.log("Internal Server Error: /fail/", now + MS, root, level="error", **told)
    shown = tail(path, "--once").stdout
    assert shown.count("no address") == 1
    assert "• ERROR Internal Server Error: /fail/\n" in shown
