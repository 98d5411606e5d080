"""The check of caches in the process, in files and in a database; servers: tests/integration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.management import call_command
from django.db import connection
from django.test import override_settings

from otel_django import conf
from otel_django.conf.limits import Limit
from otel_django.health.checks import cache
from otel_django.health.checks.cache import CacheCheck
from otel_django.health.results import Result

BACKENDS = "django.core.cache.backends."
SECRET = "s3cr3tv4lu3"


LIMIT = Limit(500, 2000)


def look(settings: dict[str, Any], limit: Limit = LIMIT) -> Result:
    with override_settings(CACHES={"default": settings}):
        [result] = CacheCheck(2.0, limit).run()
    assert result.instance == "default"
    assert SECRET not in str(result)
    return result


def test_the_check_asks_when_ready_and_is_critical() -> None:
    [check] = cache.checks(conf.from_django())
    assert (check.name, check.critical) == ("cache", True)
    assert check.groups == {"ready"}


def test_each_alias_is_an_instance() -> None:
    locmem = {"BACKEND": BACKENDS + "locmem.LocMemCache"}
    with override_settings(CACHES={"default": locmem, "pages": {**locmem, "LOCATION": "pages"}}):
        results = CacheCheck(2.0, LIMIT).run()
    assert [(each.instance, each.status) for each in results] == [
        ("default", "healthy"),
        ("pages", "healthy"),
    ]


def test_in_memory_nothing_stays_behind() -> None:
    settings = {"BACKEND": BACKENDS + "locmem.LocMemCache", "LOCATION": "looked-at"}
    assert look(settings).status == "healthy"
    assert not vars(LocMemCache("looked-at", {}))["_cache"]


def test_in_files_nothing_stays_behind(tmp_path: Path) -> None:
    folder = tmp_path / SECRET
    settings = {"BACKEND": BACKENDS + "filebased.FileBasedCache", "LOCATION": str(folder)}
    assert look(settings).status == "healthy"
    assert not list(folder.iterdir())


def test_a_folder_that_cannot_be_made_is_unhealthy(tmp_path: Path) -> None:
    (tmp_path / SECRET).touch()
    folder = tmp_path / SECRET / "cache"
    settings = {"BACKEND": BACKENDS + "filebased.FileBasedCache", "LOCATION": str(folder)}
    assert look(settings).status == "unhealthy"


def test_one_that_stores_nothing_by_design_is_healthy() -> None:
    result = look({"BACKEND": BACKENDS + "dummy.DummyCache"})
    assert result.status == "healthy"
    assert "DummyCache" in result.message


def test_one_that_cannot_be_imported_is_unhealthy() -> None:
    result = look({"BACKEND": "no.such.Cache"})
    assert (result.status, result.message) == ("unhealthy", "Its back-end can't be imported.")


class Forgetful(BaseCache):
    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        self.deleted: list[Any] = []

    def set(self, *args: Any, **kwargs: Any) -> None: ...

    def get(self, *args: Any, **kwargs: Any) -> Any:
        return None

    def delete(self, key: Any, version: Any = None) -> bool:
        return False


class Mistaken(Forgetful):
    def get(self, *args: Any, **kwargs: Any) -> Any:
        return "another"


class Failing(Forgetful):
    def set(self, *args: Any, **kwargs: Any) -> None:
        raise ValueError(SECRET)


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        (Forgetful, "What was stored isn't there."),
        (Mistaken, "What is read is not what was stored."),
        (Failing, "It failed (ValueError)."),
    ],
)
def test_one_that_does_not_give_back_what_it_was_given_is_unhealthy(
    backend: type, message: str
) -> None:
    result = look({"BACKEND": f"{__name__}.{backend.__name__}"})
    assert (result.status, result.message) == ("unhealthy", message)


def test_one_that_takes_too_long_is_degraded_or_unhealthy() -> None:
    locmem = {"BACKEND": BACKENDS + "locmem.LocMemCache"}
    assert look(locmem, Limit(0.0, 2000)).status == "degraded"
    assert look(locmem, Limit(0.0, 0.0)).status == "unhealthy"


@pytest.fixture
def table(migrated: Path) -> Iterator[dict[str, str]]:
    """Settings of a cache in the database, with its table."""
    settings = {"BACKEND": BACKENDS + "db.DatabaseCache", "LOCATION": "cached things"}
    with override_settings(CACHES={"default": settings}):
        call_command("createcachetable", verbosity=0)
    yield settings
    with connection.cursor() as cursor:
        cursor.execute('DROP TABLE "cached things"')


def test_in_a_database_nothing_stays_behind_nor_what_others_stored_goes(
    table: dict[str, str],
) -> None:
    with override_settings(CACHES={"default": table}):
        caches["default"].set("kept", 1)
        assert look(table).status == "healthy"
        assert caches["default"].get("kept") == 1
        with connection.cursor() as cursor:
            cursor.execute('SELECT count(*) FROM "cached things"')
            assert cursor.fetchone() == (1,)


@pytest.mark.usefixtures("migrated")
def test_a_table_that_is_missing_is_named_with_its_cure() -> None:
    result = look({"BACKEND": BACKENDS + "db.DatabaseCache", "LOCATION": "never_made"})
    assert result.status == "unhealthy"
    assert "createcachetable" in result.message
