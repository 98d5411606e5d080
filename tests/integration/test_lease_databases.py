"""The table of leases in real databases: one holder, the database's clock, and its going away."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections

from otel_django.models import Lease
from otel_django.observers.board import BoardAway
from otel_django.observers.database_board import DatabaseBoard
from tests.integration.servers import free_port
from tests.site.databases import database_alias

ALIAS = "leases"
DATABASES: dict[str, dict[str, Any]] = {
    "postgresql": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "USER": "postgres",
    },
    "mariadb": {"ENGINE": "django.db.backends.mysql", "NAME": "test", "USER": "root"},
}


def use_pymysql() -> None:
    try:
        importlib.import_module("MySQLdb")
    except ImportError:
        import pymysql

        pymysql.version_info = (2, 2, 8, "final", 0)  # what Django asks of mysqlclient
        pymysql.install_as_MySQLdb()


@pytest.fixture(params=list(DATABASES))
def board(request: pytest.FixtureRequest) -> Iterator[DatabaseBoard]:
    use_pymysql()
    server = request.getfixturevalue(request.param)
    where = {**DATABASES[request.param], "HOST": server.host, "PORT": server.port}
    with database_alias(ALIAS, **where):
        call_command("migrate", "otel_django", database=ALIAS, verbosity=0)
        yield DatabaseBoard(ALIAS)
        call_command("migrate", "otel_django", "zero", database=ALIAS, verbosity=0)


def test_of_many_that_want_a_lease_at_once_one_gets_it(board: DatabaseBoard) -> None:
    together = threading.Barrier(8)

    def claim(owner: str) -> bool:
        together.wait(20)
        return board.claim("queues", owner, 60)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claim, "abcdefgh")) == 1
        assert Lease._base_manager.using(ALIAS).count() == 1
        Lease._base_manager.using(ALIAS).update(until_ms=1)  # it has run out
        assert sum(pool.map(claim, "ijklmnop")) == 1


def test_times_are_by_the_databases_clock_and_in_utc(board: DatabaseBoard) -> None:
    assert board.claim("queues", "a", 60)
    until_ms = Lease._base_manager.using(ALIAS).get().until_ms
    assert abs(until_ms / 1000 - 60 - time.time()) < 30
    assert board.put("queues", "a", "[]")
    time.sleep(0.3)
    result = board.get("queues")
    assert result is not None
    assert 0.3 <= result.age_s < 30


def test_a_lease_runs_out_and_its_late_owner_leaves_nothing(board: DatabaseBoard) -> None:
    assert board.claim("queues", "a", 0.1)
    time.sleep(0.3)
    assert board.claim("queues", "b", 60)
    assert not board.put("queues", "a", "late")
    assert board.get("queues") is None
    board.release("queues", "a")
    assert not board.claim("queues", "c", 60)
    board.release("queues", "b")
    assert board.claim("queues", "c", 60)


def test_results_are_posted_found_and_removed(board: DatabaseBoard) -> None:
    board.post("celery.worker/celery@a", "a", "1")
    board.post("celery.worker/celery@a", "a", "2")
    assert {name: one.text for name, one in board.posted("celery.worker/").items()} == {
        "celery@a": "2"
    }
    board.remove("celery.worker/celery@a", "b")
    assert board.posted("celery.worker/")
    board.remove("celery.worker/celery@a", "a")
    assert not board.posted("celery.worker/")


def test_nothing_is_left_open_or_in_a_transaction_where_autocommit_is_off(
    board: DatabaseBoard,
) -> None:
    connections.settings[ALIAS]["AUTOCOMMIT"] = False
    connections[ALIAS].close()
    assert board.claim("queues", "a", 60)
    assert connections[ALIAS].connection is None
    with ThreadPoolExecutor(1) as pool:  # another connection sees it
        assert not pool.submit(board.claim, "queues", "b", 60).result()
    connections.settings[ALIAS]["AUTOCOMMIT"] = True
    connections[ALIAS].close()


@pytest.mark.parametrize("kind", list(DATABASES))
def test_a_server_that_is_away_is_said_without_its_address(kind: str) -> None:
    use_pymysql()
    where = {**DATABASES[kind], "HOST": "127.0.0.1", "PORT": free_port(), "PASSWORD": "hunter2"}
    with database_alias(ALIAS, **where), pytest.raises(BoardAway) as caught:
        DatabaseBoard(ALIAS).claim("queues", "a", 60)
    assert str(caught.value) == "OperationalError"
