"""Sizes of real databases, and what a real Redis says of itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.cache import caches
from django.db import connections
from django.test import override_settings

from otel_django.health.service_figures import DatabaseSizes, RedisFigures
from tests.integration.servers import Server
from tests.integration.test_lease_databases import DATABASES, use_pymysql
from tests.misbehaving import hanging
from tests.site.databases import database_alias

ALIAS = "figures"
BACKENDS = ("django.core.cache.backends.redis.RedisCache", "django_redis.cache.RedisCache")


def figures(name: str) -> dict[object, float]:
    return {
        one.attributes["django.db.alias"]: one.value
        for one in DatabaseSizes(60, 5).observe()
        if one.name == name
    }


def sizes() -> dict[object, float]:
    return figures("django.db.size")


@pytest.fixture(params=list(DATABASES))
def alias(request: pytest.FixtureRequest) -> Iterator[str]:
    use_pymysql()
    server = request.getfixturevalue(request.param)
    where = {**DATABASES[request.param], "HOST": server.host, "PORT": server.port}
    with database_alias(ALIAS, **where):
        yield ALIAS


def test_the_size_grows_with_the_database(alias: str) -> None:
    with connections[alias].cursor() as cursor:
        cursor.execute("CREATE TABLE figures_filler (filler text)")
        try:
            before = sizes()[alias]
            for _ in range(20):
                cursor.execute("INSERT INTO figures_filler VALUES (%s)", ["x" * 60_000])
            cursor.execute(
                "ANALYZE TABLE figures_filler"
                if connections[alias].vendor == "mysql"
                else "ANALYZE figures_filler"
            )
            if connections[alias].vendor == "mysql":
                cursor.fetchall()
            assert sizes()[alias] > before > 0
        finally:
            cursor.execute("DROP TABLE figures_filler")


def test_the_share_of_connections_in_use_is_the_servers(alias: str) -> None:
    before = figures("django.db.connection.utilization")[alias]
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT 1")
        assert 0 < before < figures("django.db.connection.utilization")[alias] < 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_redis_is_asked_for_memory_keys_and_evictions(redis: Server, backend: str) -> None:
    location = {"BACKEND": backend, "LOCATION": f"redis://{redis.host}:{redis.port}/5"}
    with override_settings(CACHES={"default": location}):
        caches["default"].clear()
        caches["default"].set("kept", 1, timeout=None)
        caches["default"].set("expiring", 1, timeout=60)
        found = {one.name: one.value for one in RedisFigures(60, 5).observe()}
        caches["default"].clear()
    assert found.pop("redis.memory.used") > 100_000
    assert found == {"redis.keys": 2, "redis.keys.expiring": 1, "redis.evictions": 0}


def test_one_redis_that_hangs_doesnt_keep_the_other_from_being_seen(redis: Server) -> None:
    backend = BACKENDS[0]
    with (
        hanging() as silent,
        override_settings(
            CACHES={
                "default": {"BACKEND": backend, "LOCATION": f"redis://127.0.0.1:{silent.port}/0"},
                "other": {"BACKEND": backend, "LOCATION": f"redis://{redis.host}:{redis.port}/5"},
            }
        ),
    ):
        seen = {one.attributes["django.cache.alias"] for one in RedisFigures(60, 0.3).observe()}
    assert seen == {"other"}
