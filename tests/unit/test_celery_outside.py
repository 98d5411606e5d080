"""What beat missed, which app counts, how brokers are asked: without a broker."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.beat import ScheduleEntry, Scheduler
from celery.schedules import crontab, schedule

from otel_django import metric_definitions as metrics
from otel_django.conf import Settings
from otel_django.contracts import Observation
from otel_django.metrics.host_folder import HostFolder
from otel_django.observers import celery_app
from otel_django.observers.board import Board
from otel_django.observers.celery_beat import MOST, CeleryBeat, missed_runs
from otel_django.observers.celery_queues import CeleryQueues
from otel_django.observers.celery_workers import FORGOTTEN_S, CeleryWorkers
from otel_django.observers.folder_board import FolderBoard
from otel_django.observers.queue_state import sent_at
from otel_django.testing import capture
from tests.host_kit import nothing
from tests.metrics_kit import Measured

app = Celery("outside", broker="memory://", set_as_current=False)
app.conf.update(timezone="UTC")


class Sunset(schedule):
    """When it is due, only it knows."""


def entry(plan: Any, ago: timedelta, runs: int = 3) -> ScheduleEntry:
    last = datetime.now(timezone.utc) - ago
    return ScheduleEntry("cleanup", "tasks.clean", last, runs, plan, app=app)


@pytest.mark.parametrize(
    ("plan", "ago", "missed"),
    [
        (schedule(timedelta(seconds=10), app=app), timedelta(seconds=10.4), 0),
        (schedule(timedelta(seconds=10), app=app), timedelta(seconds=19), 0),
        (schedule(timedelta(seconds=10), app=app), timedelta(seconds=61), 5),
        (schedule(timedelta(seconds=1), app=app), timedelta(days=3), MOST),
        (crontab(app=app), timedelta(minutes=10), 9),
        (crontab(app=app), timedelta(days=30), MOST),
        (Sunset(timedelta(seconds=10), app=app), timedelta(days=3), 0),
    ],
)
def test_C2_runs_that_were_due_since_the_last_one_were_missed(
    plan: Any, ago: timedelta, missed: int
) -> None:
    assert missed_runs(entry(plan, ago)) == missed


def test_an_entry_that_never_ran_has_missed_nothing() -> None:
    assert missed_runs(entry(crontab(app=app), timedelta(days=3), runs=0)) == 0


def test_C2_beat_counts_missed_runs_when_it_sends_the_next_one() -> None:
    measured = Measured()
    beat = CeleryBeat()
    beat.measure_with(measured.recorder)
    sent: list[str] = []

    class Sending(Scheduler):
        def apply_async(self, entry: ScheduleEntry, *args: Any, **kwargs: Any) -> None:
            sent.append(str(entry.name))

    late = entry(schedule(timedelta(seconds=10), app=app), timedelta(seconds=61))
    tracer: Any = None
    beat.install(tracer, Settings())
    beat.install(tracer, Settings())
    Sending(app, schedule={}).apply_entry(late)
    beat.uninstall()
    Sending(app, schedule={}).apply_entry(late)
    assert sent == ["cleanup", "cleanup"]
    assert measured.counts(metrics.CELERY_BEAT_MISSED_RUNS) == {("cleanup",): 5}


# --- the app


def test_the_app_is_the_same_on_every_thread_and_the_current_one_goes_first() -> None:
    current = Celery("site", broker="memory://")
    try:
        assert celery_app.current() is current
    finally:
        current.close()


# --- queues


def test_a_broker_that_tells_nothing_and_tasks_that_run_in_place_give_nothing() -> None:
    assert list(CeleryQueues(15.0, 5.0, tuple, lambda: app).observe()) == []
    eager = Celery("eager", broker="redis://127.0.0.1:1/0", set_as_current=False)
    eager.conf.task_always_eager = True
    assert list(CeleryQueues(15.0, 5.0, tuple, lambda: eager).observe()) == []


def test_C2_a_folders_messages_are_counted_and_a_growing_backlog_is_told_of_once(
    tmp_path: Path,
) -> None:
    folder = {"data_folder_in": str(tmp_path), "data_folder_out": str(tmp_path)}
    site = Celery("site", broker="filesystem://", set_as_current=False)
    site.conf.update(broker_transport_options=folder, task_default_queue="jobs")
    observer = CeleryQueues(15.0, 5.0, lambda: ("more",), lambda: site)
    with capture() as captured:
        for look in range(1, 8):
            for number in range(20):
                (tmp_path / f"{look}_{number}.jobs.msg").touch()
            lengths = {
                one.attributes["messaging.destination.name"]: one.value
                for one in observer.observe()
                if one.name == metrics.CELERY_QUEUE_LENGTH.name
            }
            assert lengths == {"jobs": 20 * look, "more": 0}
        (told,) = [one for one in captured.logs if one.event == "queue.backlog.grew"]
    assert told.attributes["messaging.destination.name"] == "jobs"
    assert told.attributes["celery.queue.length"] == 100
    assert told.attributes["celery.queue.length_before"] == 20


@pytest.mark.parametrize("headers", [None, {}, {"otel_django_sent_at": "soon"}, [1]])
def test_when_a_strangers_message_was_sent_is_unknown(headers: Any) -> None:
    assert sent_at(headers) is None


# --- workers


@pytest.fixture
def board(tmp_path: Path) -> FolderBoard:
    """With what workers have told."""
    made = FolderBoard(HostFolder(tmp_path / "host", pause=nothing))
    for name, silent_s, heartbeat_age_s, busy_s in (
        ("fresh", 0.0, 1.0, 599.0),
        ("blocked", 0.0, 60.0, 0.0),
        ("full", 0.0, 1.0, 600.0),
        ("killed", 31.0, 1.0, 0.0),
        ("gone", FORGOTTEN_S, 1.0, 0.0),
    ):
        rows = [
            ["heartbeat_age", heartbeat_age_s, {}],
            ["busy", busy_s, {}],
            ["queue", 1, {"queue": f"of {name}"}],
        ]
        made.post(f"celery.worker/{name}", name, json.dumps(rows), silent_s)
    return made


def seen(observer: CeleryWorkers) -> Iterator[tuple[str, str, float]]:
    one: Observation
    for one in observer.observe():
        yield one.name, str(next(iter(one.attributes.values()), "")), one.value


def workers(board: Board | None) -> CeleryWorkers:
    return CeleryWorkers(15.0, 5.0, lambda: board, stuck_s=600.0)


def test_C2_workers_are_online_offline_when_silent_and_stuck_without_heartbeat_or_progress(
    board: FolderBoard,
) -> None:
    observer = workers(board)
    found = {(name, which): value for name, which, value in seen(observer)}
    assert found["celery.workers", "online"] == 1
    assert found["celery.workers", "stuck"] == 2
    assert found["celery.workers", "offline"] == 1
    heard = found["celery.worker.last_heartbeat", "blocked"]
    assert abs(time.time() - 60 - heard) < 5
    assert set(board.posted("celery.worker/")) == {"fresh", "blocked", "full", "killed"}
    assert observer.queues() == ("of blocked", "of fresh", "of full", "of killed")


def test_when_a_queue_had_a_worker_last_is_known_after_the_worker_is_gone(
    board: FolderBoard,
) -> None:
    assert board.claim("celery.workers", "a", 60)
    first = workers(board)
    rows = [[one.name, one.value, dict(one.attributes)] for one in first.observe()]
    board.put("celery.workers", "a", json.dumps(rows))
    for name in board.posted("celery.worker/"):
        board.remove(f"celery.worker/{name}")
    began_s = time.time()
    second = workers(board)
    left = {which: value for name, which, value in seen(second) if name == "queue_served"}
    assert set(left) == {"of fresh", "of blocked", "of full"}
    assert all(began_s - 5 < value <= began_s for value in left.values())
    (watched_s,) = [value for name, _, value in seen(second) if name == "watched"]
    assert watched_s <= began_s
    assert second.queues() == ("of blocked", "of fresh", "of full")
    board.release_all()


def test_without_a_board_nothing_is_known_of_workers() -> None:
    assert list(workers(None).observe()) == []


def test_nothing_is_observed_in_tests() -> None:
    with capture() as captured:
        assert not [one for one in captured.metrics if one.name.startswith("celery.")]
