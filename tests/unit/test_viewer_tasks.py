"""The pages of caches and of tasks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otel_django import metric_definitions as metrics
from otel_django import names
from otel_django.clock import SYSTEM_CLOCK
from otel_django.metrics.host_folder import HostFolder
from otel_django.observers import active
from otel_django.observers.celery_beats import CeleryBeats
from otel_django.observers.celery_queues import CeleryQueues
from otel_django.observers.celery_workers import CeleryWorkers
from otel_django.observers.folder_board import FolderBoard
from otel_django.observers.places import Places
from otel_django.observers.runner import Runner
from tests.host_kit import nothing
from tests.tables_kit import Telemetry, page, rows, site
from tests.viewer_kit import text


@pytest.fixture
def telemetry(tmp_path: Path) -> Iterator[Telemetry]:
    with site(tmp_path) as made:
        yield made


# --- caches


def test_the_cache_page_tells_hit_ratios_by_cache_and_prefix(telemetry: Telemetry) -> None:
    counts = {("default", "page", "hit"): 90, ("default", "page", "miss"): 10}
    counts |= {("default", "user", "hit"): 1, ("default", "user", "miss"): 9}
    counts |= {("sessions", "", "hit"): 8, ("sessions", "", "error"): 2}
    for (alias, prefix, result), count in counts.items():
        values = {"alias": alias, "operation": "get", "result": result, "key_prefix": prefix}
        telemetry.measured(metrics.DJANGO_CACHE_OPERATIONS, 100, 100, 100 + count, **values)
    telemetry.took(
        metrics.DJANGO_CACHE_OPERATION_DURATION, 0.01, 20, alias="default", operation="get"
    )
    telemetry.measured(metrics.REDIS_MEMORY_USED, 4_000_000, alias="default")
    telemetry.keep()
    html = page("performance/cache/")
    found = rows(html)

    answer = "84 % of 118 look-ups hit, last hour; p95 of calls 9.8 ms; 2 failed good"
    assert text(html).startswith(answer)
    assert "default 110 91 19 0 4.0 MB – – good 83 %" in found
    assert "sessions 8 8 0 2 – – – good 100 %" in found
    assert "page default 100 90 10 90 %" in found
    assert "user default 10 1 poor 9 10 %" in found
    assert [row for row in found if row.startswith("get default 20 0 ")]
    assert not [row for row in rows(page("performance/cache/?q=user")) if row.startswith("page")]


def test_a_site_without_caches_is_told_where_the_figures_come_from(telemetry: Telemetry) -> None:
    telemetry.keep()
    assert "No cache was used in this range" in text(page("performance/cache/"))


# --- tasks


def test_the_tasks_page_says_whether_work_piles_up(telemetry: Telemetry) -> None:
    telemetry.measured(metrics.CELERY_QUEUE_LENGTH, 2, 40, 214, name="mail")
    telemetry.measured(metrics.CELERY_QUEUE_OLDEST_MESSAGE_AGE, 1, 720, name="mail")
    telemetry.measured(metrics.CELERY_QUEUE_LENGTH, 0, 0, 0, name="celery")
    heard_s = telemetry.now_ns / 1e9 - 90
    telemetry.measured(metrics.CELERY_WORKER_LAST_HEARTBEAT, heard_s, worker="w1@shop")
    telemetry.measured(metrics.CELERY_WORKER_TASKS, 3, worker="w1@shop", state="active")
    telemetry.measured(metrics.CELERY_WORKERS, 1, state="online")
    telemetry.measured(metrics.CELERY_WORKERS, 1, state="stuck")
    telemetry.measured(metrics.CELERY_BEAT_MISSED_RUNS, 1, 4, entry="nightly")
    telemetry.keep()
    html = page("tasks/")

    answer = text(html)
    assert answer.startswith("214 messages wait, the oldest for 12.0 min in mail; 1 worker online")
    assert "1 stuck" in answer
    assert "nothing ran, beat missed 3" in answer
    assert "3 runs of nightly" in answer
    assert "mail 214 2 12.0 min" in rows(html)
    assert "celery 0 0 –" in rows(html)
    assert [row for row in rows(html) if re.match(r"w1@shop – .* ago 3 – –", row)]


def test_tasks_are_told_with_how_they_ended_and_how_long_they_waited(
    telemetry: Telemetry,
) -> None:
    for state, count in {"success": 8, "failure": 2, "retry": 3, "revoked": 1}.items():
        which = {"task_name": "shop.confirm", "destination_name": "mail", "state": state}
        telemetry.measured(metrics.CELERY_TASK_EXECUTIONS, 0, 0, 0, 0, count, **which)
    telemetry.took(metrics.CELERY_TASK_QUEUE_WAIT, 5.0, 13, task_name="shop.confirm")
    telemetry.task("shop.confirm", 13, ms=20)
    telemetry.task("shop.only_traced", 2, ms=1)
    telemetry.keep()
    html = page("tasks/")

    assert text(html).startswith("15 runs, 2 failed")
    assert rows(html)[1].startswith("shop.confirm mail 1 revoked traces 13 2 3 4,800 ms 19 ms")
    assert "endpoint=process+shop.confirm" in html
    assert rows(html)[2].startswith("shop.only_traced traces 2 0 0")
    assert "shop.confirm" not in " ".join(rows(page("tasks/?q=traced")))


@pytest.fixture
def seen(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Leaves what an observer saw for the processes of this host: (name, value, attributes)."""
    board = FolderBoard(HostFolder(tmp_path / "host", pause=nothing))
    observers = (
        CeleryWorkers(15.0, 5.0, lambda: board, stuck_s=600.0),
        CeleryQueues(15.0, 5.0, tuple),
        CeleryBeats(15.0, 5.0, lambda: board),
    )
    active.set_runner(Runner(observers, Places(board, lambda: board), clock=SYSTEM_CLOCK))
    yield lambda name, *rows: board.post(name, "a", json.dumps(rows))
    active.set_runner(None)


def test_what_observers_saw_just_now_goes_before_what_is_kept(
    telemetry: Telemetry, seen: Callable[..., None]
) -> None:
    mail = {names.MESSAGING_DESTINATION_NAME: "mail"}
    telemetry.measured(metrics.CELERY_QUEUE_LENGTH, 7, name="mail")
    seen("celery.queues", [metrics.CELERY_QUEUE_LENGTH.name, 9, mail])
    stuck = {names.CELERY_WORKER: "w@1", names.CELERY_WORKER_STATE: "stuck"}
    seen("celery.workers", ["worker", 2.0, stuck])
    seen("celery.beat", ["missed", 2, {names.CELERY_BEAT_ENTRY: "nightly"}])
    telemetry.keep()

    html = page("tasks/")
    assert text(html).startswith("9 messages wait; 1 stuck; nothing ran, beat missed 2")
    assert [row for row in rows(html) if row.startswith("w@1 stuck")]
    past = telemetry.now_ns // 1_000_000
    assert "7 messages wait; nothing ran" in text(page(f"tasks/?from={past - 10**6}&to={past}"))


def test_queues_and_workers_go_on_by_themselves_when_asked(telemetry: Telemetry) -> None:
    telemetry.measured(metrics.CELERY_QUEUE_LENGTH, 2, name="mail")
    telemetry.keep()

    assert 'hx-trigger="every' not in page("tasks/")
    assert 'hx-get="/monitoring/tasks/?live=1" hx-trigger="every 5s"' in page("tasks/?live=1")
    assert 'hx-trigger="every' not in page("tasks/?live=1&from=0&to=1000")


def test_a_site_without_tasks_is_told_what_to_do(telemetry: Telemetry) -> None:
    telemetry.keep()
    assert "No tasks in this range" in text(page("tasks/"))
