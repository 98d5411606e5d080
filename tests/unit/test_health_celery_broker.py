"""The check of the broker where there is no server; those are in tests/integration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from otel_django import conf
from otel_django.health.checks import celery_broker
from otel_django.health.checks.celery_broker import BrokerCheck
from otel_django.health.results import CheckError, Result


def app(broker: str, **settings: Any) -> Celery:
    made = Celery("broker", broker=broker, set_as_current=False)
    made.conf.update(settings)
    return made


def folders(folder: Path) -> dict[str, Any]:
    return {
        "broker_transport_options": dict.fromkeys(("data_folder_in", "data_folder_out"), folder)
    }


def test_the_check_asks_when_ready_and_is_critical() -> None:
    [check] = celery_broker.checks(conf.from_django())
    assert (check.name, check.critical) == ("celery_broker", True)
    assert check.groups == {"ready"}


def test_without_an_app_and_with_one_that_runs_its_tasks_itself_there_is_nothing_to_check() -> None:
    eager = app("memory://", task_always_eager=True)
    assert not BrokerCheck(1.0, lambda: None).is_possible()
    assert not BrokerCheck(1.0, lambda: eager).is_possible()
    assert BrokerCheck(1.0, lambda: None).run() == Result()
    assert BrokerCheck(1.0, lambda: app("memory://")).is_possible()


def test_in_memory_there_is_nothing_to_check() -> None:
    memory = app("memory://")
    assert BrokerCheck(1.0, lambda: memory).run() == Result(message="Nothing to check: memory.")


def test_folders_are_looked_at_and_not_made(tmp_path: Path) -> None:
    there = app("filesystem://", **folders(tmp_path))
    assert BrokerCheck(1.0, lambda: there).run() == Result()
    missing = tmp_path / "s3cr3tv4lu3"
    gone = app("filesystem://", **folders(missing))
    with pytest.raises(CheckError, match=r"^Its folder data_folder_in isn't there"):
        BrokerCheck(1.0, lambda: gone).run()
    assert not missing.exists()
