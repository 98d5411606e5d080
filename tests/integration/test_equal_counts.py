"""Clients, metrics, spans and log lines count the same requests and tasks."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path

from otel_django.metrics.host import FLUSH_S
from tests.integration.shop_kit import (
    BAD_CARD,
    GOOD_CARD,
    Counts,
    Shop,
    Visitor,
    shop,
    wait_for,
)
from tests.server_process import children_of

VISITORS = 4
ROUNDS = 6
ROUTE = "http.route"
STATUS = "http.response.status_code"
TASK = "celery.task.name"
EVENTS = {"success": "task.succeeded", "retry": "task.retried", "failure": "task.failed"}
SERVER, PRODUCER, CONSUMER = 2, 4, 5
STATE_LABEL = "celery_task_state"
SUMS = ("_total", "_sum", "_bucket")
PROBES = {"/metrics", "/monitoring/metrics/"}


def visit(port: int) -> Visitor:
    visitor = Visitor(port)
    for _ in range(ROUNDS):
        visitor.look_around()
        visitor.buy(GOOD_CARD)
    visitor.buy(BAD_CARD)
    visitor.ask("/search/", "/search/?q=teapot")
    return visitor


def visitors(port: int) -> Counts:
    with ThreadPoolExecutor(VISITORS) as pool:
        come = list(pool.map(visit, [port] * VISITORS))
    assert [visitor.unanswered for visitor in come] == [0] * VISITORS
    return sum((visitor.counts for visitor in come), Counter())


def but_probes(counts: Counts) -> Counts:
    return Counter({key: n for key, n in counts.items() if key[0] not in PROBES})


def by_spans(running: Shop, kind: int, *keys: str) -> Counts:
    return Counter(
        tuple(str(span["attributes"].get(key, "")) for key in keys)
        for span in running.collector.spans()
        if span["kind"] == kind
    )


def test_requests_and_tasks_are_the_same_numbers_wherever_they_are_counted(tmp_path: Path) -> None:
    with shop(tmp_path, "--workers", "4", "--max-requests", "50") as running:
        by_client = visitors(running.server.port)
        assert by_client["/checkout/", "302"] == VISITORS * ROUNDS
        assert by_client["/checkout/", "500"] == VISITORS
        wait_for(lambda: sum(by_spans(running, SERVER, ROUTE).values()) >= by_client.total())

        def is_measured() -> bool:
            found = running.counted(
                "http_server_request_duration_seconds_count",
                "http_route",
                "http_response_status_code",
            )
            return but_probes(found) == by_client

        wait_for(is_measured)
        assert (
            but_probes(running.counted("django_http_requests_total", "endpoint", "status"))
            == by_client
        )
        assert by_spans(running, SERVER, ROUTE, STATUS) == by_client
        for told in (running.lines("request.finished"), running.records("request.finished")):
            assert Counter((one.get(ROUTE, ""), str(one[STATUS])) for one in told) == by_client
        assert_tasks_are_equal(running, orders=by_client["/checkout/", "302"])


def assert_tasks_are_equal(running: Shop, orders: int) -> None:
    """Each order sends three tasks, one after the other; the bank may be busy, even four times."""

    def measured() -> Counts:
        return running.counted("celery_task_executions_total", "celery_task_name", STATE_LABEL)

    def are_done() -> bool:
        found = measured()
        failed = sum(count for (_, state), count in found.items() if state == "failure")
        return found["shop.tasks.send_receipt", "success"] + failed == orders

    wait_for(are_done, 120)
    executions = measured()
    runs: Counts = Counter()
    for (name, _), count in executions.items():
        runs[name,] += count
    assert running.counted("messaging_client_sent_messages_total", "celery_task_name") == runs
    wait_for(lambda: sum(by_spans(running, CONSUMER, TASK).values()) == executions.total())
    spans = by_spans(running, CONSUMER, TASK, "celery.task.state")
    assert Counter({(name, state.lower()): n for (name, state), n in spans.items()}) == executions
    assert by_spans(running, PRODUCER, TASK) == runs
    for state, event in EVENTS.items():
        ended = {name: count for (name, found), count in executions.items() if found == state}
        assert Counter(line["task"] for line in running.lines(event)) == ended
        assert Counter(record[TASK] for record in running.records(event)) == ended


ACCESS_LOG = """[loggers]
keys=root,access
[logger_root]
level=WARNING
handlers=stderr
[logger_access]
qualname=gunicorn.access
level=INFO
handlers=file
propagate=0
[handlers]
keys=stderr,file
[handler_stderr]
class=StreamHandler
args=()
[handler_file]
class=FileHandler
args=("{path}",)
formatter=line
[formatters]
keys=line
[formatter_line]
format=%(process)d %(created)f %(message)s
"""
"""gunicorn's, which says of each answer which worker gave it, and when."""
AT_RISK_S = 2.0
"""A worker that is killed loses what it counted in its last second; a busy machine is late."""


def test_no_counter_falls_while_processes_are_killed(tmp_path: Path) -> None:
    access_log = tmp_path / "access.log"
    config = tmp_path / "logging.ini"
    config.write_text(ACCESS_LOG.format(path=access_log))
    options = ("--workers", "4", "--log-config", str(config), "--access-logformat", "%(U)s")
    over = threading.Event()
    with shop(tmp_path, *options) as running, ThreadPoolExecutor(VISITORS + 1) as pool:
        killing = pool.submit(kill_workers, running, over)
        come = [pool.submit(visit, running.server.port) for _ in range(VISITORS)]
        try:
            seen = sums(running)
            while not all(each.done() for each in come):
                now = sums(running)
                assert {key: value for key, value in seen.items() if now.get(key, 0) < value} == {}
                seen = now
        finally:
            over.set()
        killed = killing.result()
        assert len(killed) >= 3
        time.sleep(2 * FLUSH_S)  # those that live have counted all by then
        seen = sums(running)
    answered = sum((each.result().counts for each in come), Counter[tuple[str, ...]]()).total()
    counted = sum(
        value
        for (name, *labels), value in seen.items()
        if name == "django_http_requests_total" and "endpoint=/metrics" not in labels
    )
    lost = sum(each.result().unanswered for each in come)
    answers = [line.split() for line in access_log.read_text().splitlines()]
    at_risk = sum(
        0 <= killed.get(int(pid), 0.0) - float(when) <= AT_RISK_S and path != "/metrics"
        for pid, when, path in answers
    )
    # One that is killed right after an answer hasn't noted it in the access log.
    assert -lost <= answered - counted <= at_risk + len(killed)


def sums(running: Shop) -> dict[tuple[str, ...], float]:
    """All that may never fall; a worker that is killed meanwhile is asked again."""
    while True:
        with contextlib.suppress(OSError, HTTPException):
            found = running.samples()
            return {key: value for key, value in found.items() if key[0].endswith(SUMS)}


def kill_workers(running: Shop, over: threading.Event) -> dict[int, float]:
    """SIGKILL one of gunicorn's workers or Celery's children each second; when which was."""
    killed: dict[int, float] = {}
    while not over.wait(1.0):
        children = [*running.server_workers, *children_of(running.worker.pid)]
        victim = children[len(killed) % len(children)]
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
            killed.setdefault(victim, time.time())  # it may be listed until it is waited for
    return killed
