"""Snapshots of health, and what becomes of old ones."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest
from django.test import override_settings

from otel_django import conf
from otel_django.clock import SYSTEM_CLOCK
from otel_django.health.check import Registered
from otel_django.health.engine import Engine
from otel_django.health.registry import Registry
from otel_django.health.results import Result
from otel_django.health.snapshots import TRENDS_DAYS, take_snapshot, tidy
from otel_django.models import HealthMetric

pytestmark = pytest.mark.usefixtures("database")

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=timezone.utc)


@pytest.fixture
def engine() -> Engine:
    found = {
        "store": Result("healthy", observed={"free_bytes": 7}),
        "cpu": Result("degraded", "busy"),
        "pay": Result("unhealthy", "refused", instance="eu"),
    }
    registry = Registry()
    for name, result in found.items():
        registry.add(Registered(name, partial(_found, result), critical=name == "store"))
    return Engine(conf.from_django(), registry, folder=None, clock=SYSTEM_CLOCK)


def _found(result: Result) -> Result:
    return result


def rows(**which: Any) -> dict[str, HealthMetric]:
    return {row.metric_name: row for row in HealthMetric._base_manager.filter(**which)}


def test_a_snapshot_has_a_row_for_each_check_for_the_score_and_for_the_host(
    engine: Engine,
) -> None:
    take_snapshot(engine, NOON)  # the processor's share is that since the one before
    time.sleep(0.05)  # some ticks of its clock
    count = take_snapshot(engine, NOON + timedelta(minutes=1))
    taken = rows(timestamp=NOON + timedelta(minutes=1))
    assert count == len(taken)
    assert {"check.store", "check.cpu", "check.pay", "score", "host.memory", "host.disk"} <= set(
        taken
    )
    assert [taken[f"check.{name}"].status for name in ("store", "cpu", "pay")] == [
        "healthy",
        "warning",
        "critical",
    ]
    assert taken["check.store"].metric_value["value"] == 1.0
    assert taken["check.store"].metric_value["observed"] == {"free_bytes": 7}
    assert taken["check.pay"].metric_value["value"] == 0.0
    assert taken["check.pay"].metric_value["instances"]["eu"]["message"] == "refused"
    assert taken["score"].metric_value == {"value": 70.0}
    assert taken["score"].status == "warning"
    assert 0 < taken["host.memory"].metric_value["value"] < 1
    assert taken["host.cpu"].status == "warning"  # as the check of that name
    assert HealthMetric._base_manager.all()[0].timestamp == NOON + timedelta(minutes=1)


def test_a_snapshot_is_one_statement(engine: Engine, database_queries: Any) -> None:
    engine.report("all", within_s=5)
    with database_queries() as queries:
        take_snapshot(engine, NOON)
    assert len([query for query in queries if query.startswith("INSERT")]) == 1
    assert len(queries) <= 3  # BEGIN and COMMIT


def test_a_check_that_never_came_back_has_no_row() -> None:
    registry = Registry()
    assert take_snapshot(Engine(conf.Settings(), registry, folder=None, clock=SYSTEM_CLOCK), NOON)
    assert not any(name.startswith(("check.", "score")) for name in rows())


def test_sites_without_time_zones_have_their_local_time(engine: Engine) -> None:
    with override_settings(USE_TZ=False, TIME_ZONE="UTC"):
        take_snapshot(engine, NOON)
        assert rows()["score"].timestamp == NOON.replace(tzinfo=None)
        assert tidy(NOON + timedelta(hours=30), 24)
        assert rows()["score"].timestamp == NOON.replace(tzinfo=None)


def add(name: str, value: float, status: str, at: datetime, *, hourly: bool = False) -> None:
    HealthMetric._base_manager.create(
        metric_name=name, metric_value={"value": value}, status=status, timestamp=at, hourly=hourly
    )


def test_rows_beyond_the_retention_become_one_an_hour() -> None:
    for minute, (value, status) in enumerate(
        [(1.0, "healthy"), (0.0, "critical"), (0.5, "warning"), (0.5, "warning")]
    ):
        add("check.store", value, status, NOON + timedelta(minutes=minute))
    add("score", 80.0, "warning", NOON + timedelta(minutes=59, seconds=59))
    add("score", 90.0, "healthy", NOON + timedelta(minutes=60))
    now = NOON + timedelta(hours=25, minutes=30)
    assert tidy(now, 24)
    assert not tidy(now, 24)
    together = rows(hourly=True)
    assert together["check.store"].metric_value == {
        "value": 0.5,
        "min": 0.0,
        "max": 1.0,
        "samples": 4,
        "critical": 1,
        "warning": 2,
        "healthy": 1,
    }
    assert together["check.store"].status == "critical"
    assert together["check.store"].timestamp == NOON
    assert together["score"].metric_value["value"] == 80.0
    left = HealthMetric._base_manager.filter(hourly=False)
    assert [row.metric_value["value"] for row in left] == [90.0]  # its hour isn't over yet


def test_hours_are_put_together_one_by_one_the_oldest_first() -> None:
    for hour in range(3):
        add("score", 50.0, "warning", NOON + timedelta(hours=hour))
    now = NOON + timedelta(days=2)
    done = []
    while tidy(now, 24):
        done.append(HealthMetric._base_manager.filter(hourly=True).count())
    assert done == [1, 2, 3]


def test_hours_go_when_they_are_too_old_for_trends() -> None:
    add("score", 50.0, "warning", NOON, hourly=True)
    add("score", 50.0, "warning", NOON + timedelta(days=2), hourly=True)
    assert not tidy(NOON + timedelta(days=TRENDS_DAYS, hours=1), 24)
    assert [row.timestamp for row in HealthMetric._base_manager.all()] == [NOON + timedelta(days=2)]
