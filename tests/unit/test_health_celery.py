"""What the checks say of workers, queues and beat, by what the observers left for this host."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.beat import Scheduler, Service
from celery.schedules import crontab
from celery.signals import beat_init

from otel_django.clock import SYSTEM_CLOCK
from otel_django.conf import Settings
from otel_django.health import celery_seen
from otel_django.health.check import Registered
from otel_django.health.checks import celery_beat, celery_queues, celery_workers
from otel_django.health.results import Result
from otel_django.metrics.host_folder import HostFolder
from otel_django.observers import active
from otel_django.observers.celery_beat import CeleryBeat
from otel_django.observers.celery_beat_presence import LATE_S, BeatPresence
from otel_django.observers.celery_beats import CeleryBeats
from otel_django.observers.celery_queues import CeleryQueues
from otel_django.observers.celery_workers import CeleryWorkers
from otel_django.observers.folder_board import FolderBoard
from otel_django.observers.places import Places
from otel_django.observers.runner import Runner
from tests.host_kit import nothing

SETTINGS = Settings()


class Deployment:
    """A host without a database. What ``tell`` says of workers and beats is seen at ``look``."""

    def __init__(self, path: Path, app: Celery) -> None:
        self.app = app
        self.messages = path / "messages"
        self.messages.mkdir()
        folder = {"data_folder_in": str(self.messages), "data_folder_out": str(self.messages)}
        app.conf.update(broker_transport_options=folder, task_default_queue="jobs")
        self.board = FolderBoard(HostFolder(path / "host", pause=nothing))
        self.workers = CeleryWorkers(15.0, 5.0, lambda: self.board, stuck_s=600.0)
        queues = CeleryQueues(15.0, 5.0, self.workers.queues, lambda: app)
        self.beats = CeleryBeats(15.0, 5.0, lambda: self.board, lambda: app)
        self.observers = (self.workers, self.beats, queues)
        places = Places(self.board, lambda: self.board)
        self.runner = Runner(self.observers, places, clock=SYSTEM_CLOCK)

    def worker(
        self,
        name: str = "w@1",
        *,
        silent_s: float = 0.0,
        heartbeat_age_s: float = 1.0,
        busy_s: float = 0.0,
        queue: str = "jobs",
    ) -> None:
        rows = [
            ["heartbeat_age", heartbeat_age_s, {}],
            ["busy", busy_s, {}],
            ["queue", 1, {"queue": queue}],
        ]
        self.board.post(f"celery.worker/{name}", name, json.dumps(rows), silent_s)

    def beat(self, *, silent_s: float = 0.0, missed: dict[str, int] | None = None) -> None:
        rows = [
            ["missed", count, {"celery.beat.entry": name}] for name, count in (missed or {}).items()
        ]
        self.board.post("celery.beat/here", "beat", json.dumps(rows), silent_s)

    def look(self, ago_s: float = 0.0) -> None:
        for observer in self.observers:
            rows = [[one.name, one.value, dict(one.attributes)] for one in observer.observe()]
            self.board.post(observer.name, "a", json.dumps(rows), ago_s)

    def since(self, observer: str, name: str, ago_s: float) -> None:
        """As if what was carried on from look to look had begun so long ago."""
        left = self.board.get(observer)
        assert left is not None
        rows = [
            [row, time.time() - ago_s if row == name else value, attributes]
            for row, value, attributes in json.loads(left.text)
        ]
        self.board.post(observer, "a", json.dumps(rows))


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    app = Celery("site", broker="filesystem://")
    made = Deployment(tmp_path, app)
    active.set_runner(made.runner)
    yield made
    active.set_runner(None)
    app.close()


def made(module: Any, settings: Settings = SETTINGS) -> Registered:
    check: Registered
    (check,) = module.checks(settings)
    assert check.groups == {"all"}
    assert not check.critical
    return check


def found(module: Any) -> dict[str, Result]:
    check = made(module)
    assert check.is_possible()
    results: Any = check.run()
    each = [results] if isinstance(results, Result) else list(results)
    return {result.instance: result for result in each}


def statuses(module: Any) -> dict[str, str]:
    return {instance: result.status for instance, result in found(module).items()}


ALL = (celery_workers, celery_queues, celery_beat)


# --- where nothing is known


@pytest.mark.parametrize("module", ALL)
def test_without_observers_or_where_tasks_run_in_place_there_is_nothing_to_check(
    deployment: Deployment, module: Any, tmp_path: Path
) -> None:
    deployment.app.conf.beat_schedule = {"tidy": {"task": "tidy", "schedule": 10.0}}
    check = made(module, Settings(run_dir=tmp_path))
    assert check.is_possible()
    active.set_runner(None)
    assert not check.is_possible()
    active.set_runner(deployment.runner)
    deployment.app.conf.task_always_eager = True
    assert not check.is_possible()


@pytest.mark.parametrize("module", ALL)
def test_until_somebody_has_looked_nothing_is_wrong_and_later_it_is_degraded(
    deployment: Deployment, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment.app.conf.beat_schedule = {"tidy": {"task": "tidy", "schedule": 10.0}}
    (said,) = found(module).values()
    assert said.status == "healthy"
    assert said.message.startswith("Nobody has looked yet")
    monkeypatch.setattr(celery_seen, "START_S", 0.0)
    (said,) = found(module).values()
    assert said.status == "degraded"
    assert said.message.startswith("Nobody has looked of late")


def test_a_command_that_isnt_observed_reads_what_others_of_its_host_have_left(
    deployment: Deployment, tmp_path: Path
) -> None:
    check = made(celery_workers, Settings(run_dir=tmp_path, service_name="host"))
    active.set_runner(None)
    assert not check.is_possible()
    deployment.worker()
    deployment.look()
    assert check.is_possible()
    results: Any = check.run()
    assert [(one.instance, one.status) for one in results] == [("w@1", "healthy")]
    deployment.look(46)
    assert not check.is_possible()


def test_a_look_of_46_seconds_ago_is_no_longer_told(deployment: Deployment) -> None:
    deployment.worker()
    deployment.look(44)
    assert statuses(celery_workers) == {"w@1": "healthy"}
    deployment.look(46)
    assert list(statuses(celery_workers)) == [""]


def test_an_app_without_workers_and_tasks_is_healthy(deployment: Deployment) -> None:
    deployment.look()
    (said,) = found(celery_workers).values()
    assert (said.status, said.message) == (
        "healthy",
        "No worker is there, and no task waits for one.",
    )


# --- workers


def test_C6_a_worker_is_judged_by_what_it_told_itself(deployment: Deployment) -> None:
    deployment.worker("fine", busy_s=599.0)
    deployment.worker("silent", silent_s=31.0, queue="reports")
    deployment.worker("loop", heartbeat_age_s=31.0)
    deployment.worker("full", busy_s=600.0)
    deployment.look()
    said = found(celery_workers)
    assert {instance: result.status for instance, result in said.items()} == {
        "fine": "healthy",
        "silent": "unhealthy",
        "loop": "unhealthy",
        "full": "unhealthy",
    }
    assert said["silent"].message == "Not heard of for 31 s: killed, paused, or cut off."
    assert said["loop"].message.startswith("Its loop hasn't turned for 31 s")
    assert said["full"].message == "No free place for a task, and none has ended for 600 s."
    assert said["fine"].observed == {"silent_s": 0.0, "heartbeat_age_s": 1.0, "busy_s": 599.0}


def test_a_silent_worker_whose_queues_others_take_from_is_degraded(deployment: Deployment) -> None:
    deployment.worker("one", silent_s=31.0)
    deployment.worker("two")
    deployment.look()
    assert statuses(celery_workers) == {"one": "degraded", "two": "healthy"}


def test_a_worker_that_another_one_of_its_name_replaces_leaves_nothing_behind(
    deployment: Deployment,
) -> None:
    deployment.worker(silent_s=31.0)
    deployment.worker()
    deployment.look()
    assert statuses(celery_workers) == {"w@1": "healthy"}


def test_tasks_without_a_worker_are_unhealthy_after_a_minute_not_during_a_deployment(
    deployment: Deployment,
) -> None:
    deployment.worker()
    deployment.look()
    deployment.board.remove("celery.worker/w@1")  # it said good-bye
    (deployment.messages / "1_1.jobs.msg").touch()
    deployment.look()
    assert set(statuses(celery_workers).values()) == {"healthy"}
    deployment.since("celery.workers", "queue_served", 61)
    deployment.look()
    said = found(celery_workers)["queue jobs"]
    assert said.status == "unhealthy"
    assert said.message == "Tasks wait here (1), and no worker has taken any for 61 s."
    deployment.worker()
    deployment.look()
    assert statuses(celery_workers) == {"w@1": "healthy"}


def test_tasks_that_never_had_a_worker_are_unhealthy_a_minute_after_the_first_look(
    deployment: Deployment,
) -> None:
    (deployment.messages / "1_1.jobs.msg").touch()
    deployment.look()
    assert set(statuses(celery_workers).values()) == {"healthy"}
    deployment.since("celery.workers", "watched", 61)
    deployment.look()
    assert statuses(celery_workers) == {"queue jobs": "unhealthy"}


# --- queues


def test_a_queue_is_judged_by_its_length_and_by_the_oldest_task(deployment: Deployment) -> None:
    deployment.look()
    assert statuses(celery_queues) == {"jobs": "healthy"}
    message = deployment.messages / "1_1.jobs.msg"
    message.touch()
    for number in range(2, 1001):
        (deployment.messages / f"1_{number}.jobs.msg").touch()
    deployment.look()
    said = found(celery_queues)["jobs"]
    assert (said.status, said.message) == ("degraded", "1000 tasks wait.")
    long_ago_s = time.time() - 601
    os.utime(message, (long_ago_s, long_ago_s))
    deployment.look()
    said = found(celery_queues)["jobs"]
    assert (said.status, said.message) == (
        "unhealthy",
        "1000 tasks wait. The oldest waits for 601 s.",
    )
    assert said.observed["length"] == 1000


def test_a_broker_that_tells_of_no_queue_is_no_fault(deployment: Deployment) -> None:
    deployment.app.conf.update(broker_url="memory://")
    deployment.look()
    (said,) = found(celery_queues).values()
    assert (said.status, said.message) == ("healthy", "The broker tells of no queue.")


# --- beat


def test_without_a_schedule_and_without_a_beat_there_is_nothing_to_check(
    deployment: Deployment,
) -> None:
    deployment.look()
    assert not made(celery_beat).is_possible()
    deployment.beat()  # its schedule is kept elsewhere
    deployment.look()
    assert statuses(celery_beat) == {"": "healthy"}


@pytest.mark.parametrize(
    ("missed", "status"), [(0, "healthy"), (1, "degraded"), (2, "degraded"), (3, "unhealthy")]
)
def test_a_beat_that_is_there_is_judged_by_the_runs_that_are_overdue(
    deployment: Deployment, missed: int, status: str
) -> None:
    deployment.beat(missed={"tidy": missed} if missed else {})
    deployment.look()
    said = found(celery_beat)[""]
    assert said.status == status
    assert said.observed == {"alive": 1, "missed_runs": missed}
    assert said.message == (f"Runs of tidy that haven't come: {missed}." if missed else "")


def test_a_beat_that_died_is_unhealthy_until_another_one_is_there(deployment: Deployment) -> None:
    deployment.beat(silent_s=31.0)
    deployment.look()
    assert found(celery_beat)[""].message == "Not heard of for 31 s: killed, paused, or cut off."
    assert statuses(celery_beat) == {"": "unhealthy"}
    deployment.board.post("celery.beat/elsewhere", "new", "[]")
    deployment.look()
    assert statuses(celery_beat) == {"": "healthy"}
    assert list(deployment.board.posted("celery.beat/")) == ["elsewhere"]


@pytest.mark.parametrize(
    ("schedule", "absent_s", "missed", "status"),
    [
        (3600.0, 300.0, 0, "healthy"),
        (10.0, LATE_S + 9, 0, "healthy"),
        (10.0, LATE_S + 11, 1, "degraded"),
        (10.0, LATE_S + 31, 3, "unhealthy"),
        (crontab(), 300.0, 4, "unhealthy"),
    ],
)
def test_a_beat_that_never_came_or_left_is_missed_once_the_apps_schedule_had_runs_due(
    deployment: Deployment, schedule: Any, absent_s: float, missed: int, status: str
) -> None:
    deployment.app.conf.beat_schedule = {"tidy": {"task": "tidy", "schedule": schedule}}
    deployment.look()
    assert statuses(celery_beat) == {"": "healthy"}
    deployment.since("celery.beat", "absent", absent_s)
    deployment.look()
    said = found(celery_beat)[""]
    assert said.status == status
    assert said.message.startswith("No beat is there.")
    assert said.observed["alive"] == 0
    assert said.observed["missed_runs"] in {missed, missed + (missed > 3)}


# --- what beat tells of itself


def overdue(presence: BeatPresence) -> dict[str, float]:
    return {str(one.attributes["celery.beat.entry"]): one.value for one in presence.observe()}


@pytest.fixture
def presence() -> Iterator[Callable[[CeleryBeat], BeatPresence]]:
    made: list[BeatPresence] = []

    def make(beat: CeleryBeat) -> BeatPresence:
        tracer: Any = None
        one = BeatPresence(15.0, 5.0, heard=nothing, sending=lambda: beat.sending)
        one.install(tracer, SETTINGS)
        made.append(one)
        return one

    yield make
    for one in made:
        one.uninstall()


def test_beat_tells_of_runs_that_its_loop_doesnt_come_round_to(
    deployment: Deployment, presence: Callable[[CeleryBeat], BeatPresence]
) -> None:
    told = presence(CeleryBeat())
    assert not told.is_possible()
    deployment.app.conf.beat_schedule = {"tidy": {"task": "tidy", "schedule": 10.0}}
    service = Service(deployment.app, scheduler_cls=Scheduler)
    beat_init.send(sender=service)
    assert told.is_possible()
    assert overdue(told) == {}
    scheduler: Any = service.scheduler
    scheduler.tick()
    assert overdue(told) == {}
    (event,) = [one for one in scheduler._heap if one.entry.name == "tidy"]
    late = event._replace(time=time.time() - LATE_S - 25)
    scheduler._heap[:] = [late]
    assert overdue(told) == {"tidy": 3}


def test_beat_tells_of_a_run_that_it_cannot_get_rid_of(
    deployment: Deployment, presence: Callable[[CeleryBeat], BeatPresence]
) -> None:
    beat = CeleryBeat()
    told = presence(beat)
    beat_init.send(sender=Service(deployment.app, scheduler_cls=Scheduler))
    entry = Scheduler.Entry("tidy", "tidy", schedule=crontab(), app=deployment.app)
    beat.sending = entry, time.time() - LATE_S + 5
    assert overdue(told) == {}
    beat.sending = entry, time.time() - LATE_S - 5
    assert overdue(told)["tidy"] >= 1
