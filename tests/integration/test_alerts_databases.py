"""Alerts in real databases: what comes back, who may write, and that nothing is left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.test.utils import CaptureQueriesContext

from otel_django.alerts.keeping.contract import (
    SENDING_MS,
    Attempt,
    Changes,
    Fence,
    NotLeaderError,
)
from otel_django.alerts.keeping.database import AlertDatabase
from otel_django.alerts.keeping.merging import Backlog
from otel_django.alerts.keeping.switching import end_of_others
from otel_django.conf import Settings
from otel_django.models import AlertAttempt, AlertEvent, AlertNotification, Lease, SystemAlert
from otel_django.observers.database_board import DatabaseBoard
from otel_django.web.alerting_state import Alerting
from tests.integration.test_lease_databases import DATABASES, use_pymysql
from tests.keeping_kit import (
    ALIAS,
    FENCE,
    NOW_MS,
    away,
    delivered,
    entry,
    event,
    keeper,
    kept_in,
    key,
    outgoing,
    taken,
    told,
)
from tests.site.databases import database_alias


@pytest.fixture(params=[*DATABASES, "sqlite"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    if request.param == "sqlite":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "alerts.sqlite3")}
    use_pymysql()
    server = request.getfixturevalue(request.param)
    return {**DATABASES[request.param], "HOST": server.host, "PORT": server.port}


@pytest.fixture
def database(where: dict[str, Any]) -> Iterator[AlertDatabase]:
    with kept_in(**where):
        yield AlertDatabase(ALIAS)


def count(model: Any) -> int:
    found: int = model._base_manager.using(ALIAS).count()
    return found


def test_migrating_to_zero_leaves_nothing_behind(where: dict[str, Any]) -> None:
    with database_alias(ALIAS, **where) as connection:
        before = set(connection.introspection.table_names())
        call_command("migrate", "otel_django", database=ALIAS, verbosity=0)
        assert "otel_django_systemalert" in connection.introspection.table_names()
        call_command("migrate", "otel_django", "zero", database=ALIAS, verbosity=0)
        after = set(connection.introspection.table_names())
        assert after - before <= {"django_migrations"}
        with connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM django_migrations WHERE app = 'otel_django'")
            assert cursor.fetchone()[0] == 0


def test_what_came_with_telemetry_comes_back_as_it_was(database: AlertDatabase) -> None:
    hostile = key(route="/\x00<b>\ud800\u202e😀", **{"http.route": "/a'\"\\%s"})
    whole = told(taken(entry(hostile)))
    one = outgoing(document={"text": "\x00\ud800😀"}, fingerprints=("a", "b"))
    database.save(Changes([whole], (), [event(text="\x00\ud800x")], [one]), FENCE)
    database.save(Changes([whole], (), [event()], [one]), FENCE)
    assert database.load(NOW_MS).alerts == {hostile: whole}
    assert [each.document for each in database.due(NOW_MS, FENCE, 10)] == [one.document]
    assert (count(SystemAlert), count(AlertEvent), count(AlertNotification)) == (1, 1, 1)


def test_what_another_evaluator_left_ends_and_the_status_tells_of_channels(
    database: AlertDatabase,
) -> None:
    now_ms = time.time_ns() // 1_000_000
    theirs = replace(told(entry()), source="prometheus")
    made = [outgoing(name, at_ms=now_ms) for name in ("n1", "n2")]
    database.save(Changes([theirs], outgoing=made), FENCE)
    backlog = Backlog()
    backlog.attempted(Attempt("n1", "slack", now_ms, "retry", "HTTP 500", now_ms + 10))
    backlog.attempted(delivered("n2", at_ms=now_ms))
    database.merge(backlog)
    assert not end_of_others("embedded", now_ms, database=ALIAS)
    assert SystemAlert._base_manager.using(ALIAS).get().state == "resolved"
    evaluator, channels = Alerting(Settings(database=ALIAS)).state()
    assert evaluator["leads"]
    assert channels is not None
    (slack,) = [one for one in channels if one["name"] == "slack"]
    assert (slack["queued"], slack["retrying"], slack["failure"]) == (1, 1, "HTTP 500")


def test_infinity_can_be_kept(database: AlertDatabase) -> None:
    one = entry()
    changed = replace(one, alert=replace(one.alert, value=float("inf")), threshold=float("-inf"))
    database.save(Changes([changed]), FENCE)
    assert database.load(NOW_MS).alerts[key()].alert.value > 1e308


def test_a_thousand_alerts_at_once_and_again(database: AlertDatabase) -> None:
    many = [entry(key(host=f"h{number}")) for number in range(1000)]
    events = [event(number) for number in range(1000)]
    with CaptureQueriesContext(connections[ALIAS]) as seen:
        database.save(Changes(many, (), events), FENCE)
    assert len(seen) < 60
    ended = [entry(one.alert.key, "resolved", at_ms=NOW_MS + 60_000) for one in many]
    database.save(Changes(ended), FENCE)
    known = database.load(NOW_MS + 60_000)
    assert {one.alert.state for one in known.alerts.values()} == {"resolved"}
    assert (count(SystemAlert), count(AlertEvent)) == (1000, 1000)


def test_pending_alerts_that_end_are_gone_and_attempts_noted(database: AlertDatabase) -> None:
    pending = entry(state="pending")
    database.save(Changes([pending], (), (), [outgoing()]), FENCE)
    database.save(Changes(gone=[pending]), FENCE)
    kept = keeper(Path("/nonexistent/otel"))
    for at_ms in (1, 1, 2):
        kept.attempted(delivered(at_ms=at_ms))
    assert (count(SystemAlert), count(AlertAttempt)) == (0, 1 + 1)
    assert not database.due(NOW_MS + SENDING_MS, FENCE, 10)


def test_of_two_leaders_only_the_one_with_the_lease_writes(database: AlertDatabase) -> None:
    Lease._base_manager.using(ALIAS).update(until_ms=1)
    board = DatabaseBoard(ALIAS)
    assert board.claim(FENCE.lease, "new", 60)
    with pytest.raises(NotLeaderError):
        database.save(Changes([entry()]), FENCE)
    database.save(Changes([entry()]), Fence(FENCE.lease, "new"))
    assert count(SystemAlert) == 1


def test_many_that_ask_at_once_never_get_the_same(database: AlertDatabase) -> None:
    names = [f"n{number}" for number in range(40)]
    database.save(Changes(outgoing=[outgoing(name) for name in names]), FENCE)
    together = threading.Barrier(4)

    def take(_: int) -> list[str]:
        together.wait(20)
        return [one.key for _ in range(5) for one in AlertDatabase(ALIAS).due(NOW_MS, FENCE, 3)]

    with ThreadPoolExecutor(4) as pool:
        found = [name for each in pool.map(take, range(4)) for name in each]
    assert sorted(found) == sorted(names)


def test_it_goes_on_without_a_server_and_tells_it_later(
    database: AlertDatabase, tmp_path: Path
) -> None:
    kept = keeper(tmp_path)
    kept.save(Changes([entry(key("A1"))]), FENCE)
    with away():
        kept.save(Changes([entry(key("B1"))], outgoing=[outgoing()]), FENCE)
        assert [one.key for one in kept.due(NOW_MS, FENCE)] == ["n1"]
        kept.attempted(delivered())
        assert kept.load(NOW_MS).away
    assert set(kept.load(NOW_MS).alerts) == {key("A1"), key("B1")}
    states = AlertNotification._base_manager.using(ALIAS).values_list("state", flat=True)
    assert list(states) == ["delivered"]
    kept.close()
