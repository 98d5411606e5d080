"""Snapshots of health in real databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest
from django.core.management import call_command

from otel_django import conf
from otel_django.clock import SYSTEM_CLOCK
from otel_django.health.check import Registered
from otel_django.health.engine import Engine
from otel_django.health.registry import Registry
from otel_django.health.results import Result
from otel_django.health.snapshots import take_snapshot, tidy
from otel_django.models import HealthMetric
from tests.integration.test_lease_databases import DATABASES, use_pymysql
from tests.site.databases import database_alias

ALIAS = "snapshots"
NOON = datetime(2026, 3, 4, 12, 0, tzinfo=timezone.utc)


@pytest.fixture(params=list(DATABASES))
def alias(request: pytest.FixtureRequest) -> Iterator[str]:
    use_pymysql()
    server = request.getfixturevalue(request.param)
    where = {**DATABASES[request.param], "HOST": server.host, "PORT": server.port}
    with database_alias(ALIAS, **where):
        call_command("migrate", "otel_django", database=ALIAS, verbosity=0)
        yield ALIAS
        call_command("migrate", "otel_django", "zero", database=ALIAS, verbosity=0)


def test_snapshots_are_kept_and_become_hours(alias: str) -> None:
    registry = Registry()
    registry.add(Registered("store", lambda: Result("degraded", observed={"free_bytes": 7})))
    engine = Engine(conf.from_django(), registry, folder=None, clock=SYSTEM_CLOCK)
    for minute in range(3):
        take_snapshot(engine, NOON + timedelta(minutes=minute), database=alias)
    rows = HealthMetric._base_manager.using(alias).filter(metric_name="check.store")
    assert [row.metric_value["observed"] for row in rows] == [{"free_bytes": 7}] * 3
    assert tidy(NOON + timedelta(days=2), 24, database=alias)
    assert not tidy(NOON + timedelta(days=2), 24, database=alias)
    (hour,) = rows.all()
    assert (hour.status, hour.hourly, hour.timestamp) == ("warning", True, NOON)
    assert (hour.metric_value["value"], hour.metric_value["samples"]) == (0.5, 3)
