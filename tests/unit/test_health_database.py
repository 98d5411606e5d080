"""The checks of databases and migrations on SQLite; servers are in tests/integration."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connections
from django.test import override_settings

from otel_django import conf
from otel_django.conf.limits import Limit
from otel_django.health import database_session
from otel_django.health.checks import database, migrations
from otel_django.health.checks.database import DatabaseCheck
from otel_django.health.checks.migrations import REMEMBERED_S, MigrationsCheck, unapplied
from otel_django.health.results import CheckError, Result
from otel_django.host_environment import Process
from tests.site.databases import database_alias

SECRET = "s3cr3tv4lu3"
SQLITE = "django.db.backends.sqlite3"


LIMIT = Limit(500, 2000)


def look(limit: Limit = LIMIT) -> Result:
    return one(DatabaseCheck(0.2, limit, Limit(80, 95)).run(), "other")


def one(results: list[Result], instance: str) -> Result:
    [result] = [result for result in results if result.instance == instance]
    return result


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Path]:
    """The file of another alias, with a table."""
    file = tmp_path / f"{SECRET}.sqlite3"
    with database_alias("other", ENGINE=SQLITE, NAME=file):
        with sqlite3.connect(file) as connection:
            connection.execute("CREATE TABLE some (id integer)")
        connection.close()
        yield file


def test_the_check_asks_when_ready_and_at_startup_and_is_critical() -> None:
    [check] = database.checks(conf.from_django())
    assert (check.name, check.critical) == ("database", True)
    assert check.groups == {"ready", "startup"}
    assert check.is_possible()


def test_without_databases_there_is_nothing_to_check() -> None:
    settings = connections.settings["default"]
    engine = settings["ENGINE"]
    settings["ENGINE"] = "django.db.backends.dummy"
    try:
        [check] = database.checks(conf.from_django())
        assert not check.is_possible()
    finally:
        settings["ENGINE"] = engine


def test_a_file_that_can_be_read_is_healthy(other: Path) -> None:
    threads = set(threading.enumerate())
    result = look()
    assert (result.status, result.message) == ("healthy", "")
    assert result.observed.keys() == {"duration_ms"}
    assert set(threading.enumerate()) <= threads


def test_a_file_that_is_not_there_is_not_made(other: Path) -> None:
    other.unlink()
    result = look()
    assert (result.status, result.message) == ("unhealthy", "Its file isn't there.")
    assert not other.exists()


def test_a_damaged_file_is_unhealthy(other: Path) -> None:
    other.write_bytes(b"no database at all, by any means" * 100)
    assert look() == Result("unhealthy", "Its file is damaged.", {}, "other")


def test_a_file_that_a_writer_holds_is_unhealthy_until_it_lets_go(other: Path) -> None:
    writer = sqlite3.connect(other, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    assert look() == Result("unhealthy", "A writer holds it locked.", {}, "other")
    writer.close()
    assert look().status == "healthy"


def test_what_takes_too_long_is_degraded_or_unhealthy(other: Path) -> None:
    assert look(limit=Limit(0.0, 2000)).status == "degraded"
    result = look(limit=Limit(0.0, 0.0))
    assert result.status == "unhealthy"
    assert result.message.endswith("ms to answer.")


def test_a_replica_is_asked_but_in_test_runs_and_isn_t_migrated(
    other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database_alias("replica", ENGINE=SQLITE, NAME=other, TEST={"MIRROR": "default"}):
        assert "replica" not in database_session.aliases()
        monkeypatch.setattr(database_session, "current_process", lambda: Process("server"))
        assert "replica" in database_session.aliases()
        assert "replica" not in database_session.primary_aliases()


def test_settings_that_no_database_can_be_made_from_say_nothing_of_themselves() -> None:
    with database_alias("other", ENGINE=SQLITE, NAME=""):
        assert look() == Result("unhealthy", "Its settings can't be used.", {}, "other")


# --- migrations


def migrate_all(file: Path) -> None:
    from django.db.migrations.loader import MigrationLoader

    loader = MigrationLoader(None)
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE django_migrations (app text, name text)")
        connection.executemany(
            "INSERT INTO django_migrations VALUES (?, ?)", loader.disk_migrations
        )
    connection.close()


def change(file: Path, statement: str, *values: Any) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute(statement, values)
    connection.close()


def test_migrations_are_asked_at_startup_and_critical() -> None:
    [check] = migrations.checks(conf.from_django())
    assert (check.name, check.critical) == ("migrations", True)
    assert check.groups == {"startup"}


@pytest.mark.usefixtures("migrated")
def test_applied_migrations_are_healthy() -> None:
    assert one(MigrationsCheck(1.0).run(), "default") == Result(instance="default")


def test_a_migration_that_is_not_applied_is_named(other: Path) -> None:
    migrate_all(other)
    check = MigrationsCheck(1.0)
    change(other, "DELETE FROM django_migrations WHERE app = 'sessions'")
    result = one(check.run(), "other")
    assert (result.status, result.message) == ("unhealthy", "Not applied: sessions.0001_initial.")
    change(other, "INSERT INTO django_migrations VALUES ('sessions', '0001_initial')")
    assert one(check.run(), "other").status == "healthy"


def test_of_many_migrations_a_few_are_named(other: Path) -> None:
    migrate_all(other)
    change(other, "DELETE FROM django_migrations WHERE app = 'auth'")
    result = one(MigrationsCheck(1.0).run(), "other")
    assert result.message.startswith("Not applied: auth.0001_initial, auth.0002_")
    assert result.message.endswith(f" and {result.observed['unapplied'] - 3} more.")


def test_once_applied_they_are_not_asked_for_again_for_a_while(other: Path) -> None:
    migrate_all(other)
    now_s = 0.0
    check = MigrationsCheck(1.0, lambda: now_s)
    assert one(check.run(), "other").status == "healthy"
    other.unlink()
    now_s = REMEMBERED_S - 1
    assert one(check.run(), "other").status == "healthy"
    now_s = REMEMBERED_S
    assert one(check.run(), "other").status == "unhealthy"


def test_once_forgotten_applied_migrations_are_asked_for_again(other: Path) -> None:
    migrate_all(other)
    [registered] = migrations.checks(conf.from_django())
    check = MigrationsCheck(1.0)
    assert registered.forget is not None
    assert one(check.run(), "other").status == "healthy"
    other.unlink()
    check.forget()
    assert one(check.run(), "other").status == "unhealthy"


def test_a_database_on_which_nothing_was_ever_migrated_is_not_ours_to_judge(other: Path) -> None:
    assert one(MigrationsCheck(1.0).run(), "other").status == "healthy"


def test_a_default_database_on_which_nothing_was_ever_migrated_is_unhealthy(
    tmp_path: Path,
) -> None:
    file = tmp_path / "empty.sqlite3"
    sqlite3.connect(file).close()
    file.touch()
    before = connections.settings["default"]["NAME"]
    connections.settings["default"]["NAME"] = str(file)
    try:
        assert one(MigrationsCheck(1.0).run(), "default").status == "unhealthy"
    finally:
        connections.settings["default"]["NAME"] = before


class NoSessions:
    """Lets an app's models into one database only."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return db != "other" if app_label == "sessions" else None


def test_an_app_that_routers_keep_out_of_a_database_has_nothing_to_apply_there(
    other: Path,
) -> None:
    migrate_all(other)
    change(other, "DELETE FROM django_migrations WHERE app = 'sessions'")
    with override_settings(DATABASE_ROUTERS=[f"{__name__}.NoSessions"]):
        assert one(MigrationsCheck(1.0).run(), "other").status == "healthy"


def test_migrations_that_cannot_be_loaded_are_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "broken_migrations"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "0001_without_a_class.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with (
        override_settings(MIGRATION_MODULES={"sessions": "broken_migrations"}),
        pytest.raises(CheckError, match=r"^They can't be loaded \(BadMigrationError\)\.$"),
    ):
        MigrationsCheck(1.0).run()


A, B, C, D = ("app", "0001"), ("app", "0002"), ("app", "0001_to_0002"), ("app", "0001_to_0003")


@pytest.mark.parametrize(
    ("applied", "left"),
    [
        ([], [C]),
        ([A], [B]),
        ([A, B], []),
        ([C], []),
        ([A, B, C], []),
    ],
)
def test_a_squashed_migration_stands_for_its_parts(applied: list[Any], left: list[Any]) -> None:
    known = {key: SimpleNamespace(replaces=[]) for key in (A, B)}
    known[C] = SimpleNamespace(replaces=[A, B])
    assert unapplied(known, applied) == left


def test_squashed_migrations_that_are_squashed_again_stand_for_all_of_them() -> None:
    known = {D: SimpleNamespace(replaces=[C]), C: SimpleNamespace(replaces=[A, B])}
    assert unapplied(known, [A, B]) == []
    assert unapplied(known, []) == [D]
