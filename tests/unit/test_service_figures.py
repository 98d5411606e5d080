"""Sizes of databases, and what Redis says of itself; other databases: tests/integration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connections
from django.test import override_settings

from otel_django import metric_definitions as metrics
from otel_django.health.results import CheckError
from otel_django.health.service_figures import DatabaseSizes, RedisFigures

MISSING = "figures_missing"
REDIS = "django.core.cache.backends.redis.RedisCache"
LOCMEM = "django.core.cache.backends.locmem.LocMemCache"


@pytest.fixture
def missing(tmp_path: Path) -> Iterator[str]:
    """A database whose file isn't there."""
    connections.settings[MISSING] = connections.configure_settings(
        {
            "default": {},
            MISSING: {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "none")},
        }
    )[MISSING]
    yield str(tmp_path / "none")
    del connections.settings[MISSING]


def sizes() -> dict[str, float]:
    return {
        str(one.attributes["django.db.alias"]): one.value
        for one in DatabaseSizes(60, 5).observe()
        if one.name == metrics.DJANGO_DB_SIZE.name
    }


def test_the_size_of_a_database_in_a_file_is_the_files(migrated: Path) -> None:
    assert DatabaseSizes(60, 5).is_possible()
    assert sizes() == {"default": migrated.stat().st_size}


def test_one_that_cant_be_reached_is_left_out_and_not_made(migrated: Path, missing: str) -> None:
    assert set(sizes()) == {"default"}
    assert not Path(missing).exists()


def test_where_none_can_be_reached_the_observer_has_failed(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(connections.settings, "default")
    with pytest.raises(CheckError):
        list(DatabaseSizes(60, 5).observe())


def test_caches_that_arent_in_redis_arent_asked() -> None:
    for backend in (LOCMEM, "nowhere.Cache"):
        with override_settings(CACHES={"default": {"BACKEND": backend}}):
            assert not RedisFigures(60, 5).is_possible()


def test_a_server_that_is_away_is_a_failure() -> None:
    location = {"BACKEND": REDIS, "LOCATION": "redis://127.0.0.1:1"}
    with override_settings(CACHES={"default": location}):
        figures = RedisFigures(60, 5)
        assert figures.is_possible()
        with pytest.raises(Exception, match=r"127\.0\.0\.1"):
            list(figures.observe())
