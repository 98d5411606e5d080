"""The checks of databases, caches and brokers against real ones, near and behind a bad proxy."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from celery import Celery
from django.db import connections
from django.test import override_settings
from redis import Redis

from otel_django.conf.limits import Limit
from otel_django.health.checks.cache import CacheCheck
from otel_django.health.checks.celery_broker import BrokerCheck
from otel_django.health.checks.database import DatabaseCheck
from otel_django.health.checks.migrations import MigrationsCheck
from otel_django.health.results import CheckError, Result
from tests.integration import servers
from tests.integration.servers import Server
from tests.misbehaving import Proxy, closed_port, hanging, proxy
from tests.site.databases import database_alias

SECRET = "s3cr3tv4lu3"
TIMEOUT_S = 1.5
IN_TIME_S = 2.6
"""A busy machine is late, but not by as much as another time-out."""
FAST_ENOUGH = Limit(60_000, 60_000)
SLOW_MS = Limit(200, 60_000)
CONNECTIONS = Limit(80, 95)
REDIS = "django.core.cache.backends.redis.RedisCache"
DJANGO_REDIS = "django_redis.cache.RedisCache"
PYMEMCACHE = "django.core.cache.backends.memcached.PyMemcacheCache"
KINDS = {
    "psycopg": "postgresql",
    "psycopg2": "postgresql",
    "mysql": "mariadb",
    REDIS: "redis",
    DJANGO_REDIS: "redis",
    PYMEMCACHE: "memcached",
    "database cache": "postgresql",
    "redis broker": "redis",
    "amqp broker": "rabbitmq",
}


@dataclass
class Service:
    """A check of the server behind ``proxy``; ``ask`` takes another ``user`` and ``slow_ms``."""

    kind: str
    proxy: Proxy
    ask: Callable[..., Result]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.rpartition(".")[0] or kind)
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    kind = request.param
    server: Server = request.getfixturevalue(KINDS[kind])
    if kind == "mysql":
        request.getfixturevalue("mysql_driver")
    if kind == "psycopg2":
        monkeypatch = request.getfixturevalue("monkeypatch")
        monkeypatch.setattr("django.db.backends.postgresql.psycopg_any.is_psycopg3", False)
    if kind == "database cache":
        _make_cache_table(server)
    asks = {"psycopg": _postgresql, "psycopg2": _postgresql, "mysql": _mysql}
    asks |= {REDIS: _cache, DJANGO_REDIS: _cache, PYMEMCACHE: _cache}
    asks |= {"database cache": _database_cache, "redis broker": _broker, "amqp broker": _broker}
    with proxy(server.port) as near:
        yield Service(kind, near, partial(asks[kind], kind, near.port))


def _postgresql(
    kind: str, port: int, user: str | None = None, slow_ms: Limit = FAST_ENOUGH
) -> Result:
    with _postgresql_alias(port, user):
        return _database("other", slow_ms)


def _database(alias: str, slow_ms: Limit = FAST_ENOUGH, connections: Limit = CONNECTIONS) -> Result:
    return one(DatabaseCheck(TIMEOUT_S, slow_ms, connections).run(), alias)


def _postgresql_alias(port: int, user: str | None = None) -> Any:
    return database_alias(
        "other",
        ENGINE="django.db.backends.postgresql",
        NAME="postgres",
        USER=user or "postgres",
        PASSWORD=SECRET,
        HOST="127.0.0.1",
        PORT=port,
    )


def _mysql(kind: str, port: int, user: str | None = None, slow_ms: Limit = FAST_ENOUGH) -> Result:
    with _mysql_alias(port, user):
        return _database("other", slow_ms)


def _mysql_alias(port: int, user: str | None = None) -> Any:
    return database_alias(
        "other",
        ENGINE="django.db.backends.mysql",
        NAME="test",
        USER=user or "root",
        PASSWORD=SECRET if user else "",
        HOST="127.0.0.1",
        PORT=port,
    )


def _cache(kind: str, port: int, user: str | None = None, slow_ms: Limit = FAST_ENOUGH) -> Result:
    credentials = f"{user}:{SECRET}@" if user else ""
    location = f"redis://{credentials}127.0.0.1:{port}/3"
    if kind == PYMEMCACHE:
        location = f"127.0.0.1:{port}"
    with override_settings(CACHES={"default": {"BACKEND": kind, "LOCATION": location}}):
        return one(CacheCheck(TIMEOUT_S, slow_ms).run(), "default")


class Router:
    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "other"

    db_for_read = db_for_write


def _database_cache(
    kind: str, port: int, user: str | None = None, slow_ms: Limit = FAST_ENOUGH
) -> Result:
    caches = {
        "default": {
            "BACKEND": "django.core.cache.backends.db.DatabaseCache",
            "LOCATION": "cache table",
        }
    }
    router = f"{__name__}.Router"
    with (
        _postgresql_alias(port, user),
        override_settings(CACHES=caches, DATABASE_ROUTERS=[router]),
    ):
        return one(CacheCheck(TIMEOUT_S, slow_ms).run(), "default")


def _make_cache_table(server: Server) -> None:
    import psycopg

    with psycopg.connect(host="127.0.0.1", port=server.port, user="postgres") as connection:
        connection.execute(
            'CREATE TABLE IF NOT EXISTS "cache table" '
            "(cache_key varchar(255) PRIMARY KEY, value text, expires timestamptz)"
        )


def _broker(kind: str, port: int, user: str | None = None, slow_ms: Limit = FAST_ENOUGH) -> Result:
    if kind == "amqp broker":
        url = f"amqp://{user or 'guest'}:{SECRET if user else 'guest'}@127.0.0.1:{port}//"
    else:
        url = f"redis://{f'{user}:{SECRET}@' if user else ''}127.0.0.1:{port}/2"
    app = Celery("broker", broker=url, set_as_current=False)
    try:
        return BrokerCheck(TIMEOUT_S, lambda: app).run()
    except CheckError as error:
        return Result("unhealthy", str(error))


def one(results: list[Result], instance: str) -> Result:
    [result] = [result for result in results if result.instance == instance]
    return result


@contextlib.contextmanager
def nothing_left(service: Service) -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before
    service.proxy.wait_until(lambda proxy: not proxy.open)


def test_what_works_is_healthy_over_one_connection_that_is_closed(service: Service) -> None:
    with nothing_left(service):
        for number in range(1, 4):
            result = service.ask()
            assert (result.status, result.message) == ("healthy", "")
            assert service.proxy.connections == number


def test_what_is_gone_is_unhealthy_and_healthy_when_it_is_back(service: Service) -> None:
    with nothing_left(service):
        service.proxy.gone()
        began_s = time.monotonic()
        result = service.ask()
        assert (result.status, result.message) == ("unhealthy", "Nothing listens there.")
        assert time.monotonic() - began_s < IN_TIME_S
        service.proxy.pass_on()
        assert service.ask().status == "healthy"


def test_what_accepts_and_never_answers_is_unhealthy_in_time(service: Service) -> None:
    with nothing_left(service):
        service.proxy.hang()
        began_s = time.monotonic()
        result = service.ask()
        assert (result.status, result.message) == ("unhealthy", "It did not answer in time.")
        assert time.monotonic() - began_s < IN_TIME_S
        service.proxy.pass_on()
        assert service.ask().status == "healthy"


def test_what_cuts_connections_is_unhealthy(service: Service) -> None:
    with nothing_left(service):
        service.proxy.cut()
        result = service.ask()
        assert result.status == "unhealthy"
        if service.kind != "amqp broker":  # where a socket option is refused first
            assert result.message == "It closed the connection."


def test_what_is_slow_is_degraded(service: Service) -> None:
    with nothing_left(service):
        service.proxy.delay(0.11)
        result = service.ask(slow_ms=SLOW_MS)
        if "broker" in service.kind:
            assert result.status == "healthy"
        else:
            assert result.status == "degraded"
            assert result.message.endswith("ms to answer.")
        assert result.observed["duration_ms"] > 100


def test_credentials_that_are_refused_are_said_and_not_shown(service: Service) -> None:
    if service.kind == PYMEMCACHE:
        return  # it has none
    with nothing_left(service):
        result = service.ask(user="n0b0dy")
        assert (result.status, result.message) == ("unhealthy", "It refused the credentials.")


LOCKS = {
    "postgresql": ("BEGIN", "LOCK TABLE django_migrations"),
    "mariadb": ("LOCK TABLE django_migrations WRITE",),
}


@pytest.mark.parametrize("kind", LOCKS)
def test_a_locked_table_is_waited_for_by_nobody_once_the_time_is_up(
    kind: str, request: pytest.FixtureRequest
) -> None:
    server: Server = request.getfixturevalue(kind)
    if kind == "mariadb":
        request.getfixturevalue("mysql_driver")
    alias = _postgresql_alias if kind == "postgresql" else _mysql_alias
    with alias(server.port) as other:
        check = MigrationsCheck(TIMEOUT_S)
        with other.cursor() as cursor:
            cursor.execute("CREATE TABLE IF NOT EXISTS django_migrations (app text, name text)")
            assert one(check.run(), "other").message.startswith("Not applied: ")
            for statement in LOCKS[kind]:
                cursor.execute(statement)
            assert one(check.run(), "other").message == "It did not answer in time."
            wait_until(lambda: _sessions(cursor, kind) == 1)
            cursor.execute("COMMIT" if kind == "postgresql" else "UNLOCK TABLES")
            cursor.execute("DROP TABLE django_migrations")


def _sessions(cursor: Any, kind: str) -> int:
    """How many the server has, ours included."""
    if kind == "postgresql":  # within a transaction it tells the same again
        cursor.execute("SELECT pg_stat_clear_snapshot()")
    cursor.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        if kind == "postgresql"
        else "SELECT count(*) FROM information_schema.processlist WHERE user = 'root'"
    )
    return int(cursor.fetchone()[0])


@pytest.mark.parametrize("kind", LOCKS)
def test_used_connections_are_judged_by_the_servers_limit(
    kind: str, request: pytest.FixtureRequest
) -> None:
    server: Server = request.getfixturevalue(kind)
    if kind == "mariadb":
        request.getfixturevalue("mysql_driver")
    alias = _postgresql_alias if kind == "postgresql" else _mysql_alias
    with alias(server.port) as other, other.cursor() as cursor:
        wait_until(lambda: _sessions(cursor, kind) == 1)
        used, most = 2, 97 if kind == "postgresql" else 151
        percent = 100 * used / most
        for limit, status in (
            (Limit(percent + 1, 95), "healthy"),
            (Limit(percent, 95), "degraded"),
            (Limit(0.1, percent), "unhealthy"),
        ):
            wait_until(lambda: _sessions(cursor, kind) == 1)
            result = _database("other", connections=limit)
            assert result.status == status
            assert result.observed["connections"] == used
            assert result.observed["connections_max"] == most
        assert result.message == f"{used} of {most} connections are used."


def test_a_user_who_may_do_nothing_in_postgresql_sees_how_many_connections_there_are(
    postgresql: Server,
) -> None:
    import psycopg

    with psycopg.connect(host="127.0.0.1", port=postgresql.port, user="postgres") as owner:
        owner.execute("DROP ROLE IF EXISTS plain")
        owner.execute("CREATE ROLE plain LOGIN")
        owner.commit()
        with owner.cursor() as cursor:
            wait_until(lambda: _sessions(cursor, "postgresql") == 1)
        with _postgresql_alias(postgresql.port, "plain"):
            result = _database("other")
    assert result.observed["connections"] == 2


def test_the_check_has_a_connection_of_its_own_beside_the_sites_pool(postgresql: Server) -> None:
    options = {"pool": {"min_size": 1, "max_size": 1}, "assume_role": "postgres"}
    with database_alias(
        "other",
        ENGINE="django.db.backends.postgresql",
        NAME="postgres",
        USER="postgres",
        HOST="127.0.0.1",
        PORT=postgresql.port,
        OPTIONS=options,
    ):
        result = _database("other")
        assert (result.status, result.observed["connections"]) == ("healthy", 1)


@pytest.mark.parametrize("kind", [REDIS, DJANGO_REDIS])
def test_redis_tells_of_its_memory_keys_hits_and_evictions(kind: str, redis: Server) -> None:
    with Redis(port=redis.port, db=3) as client:
        client.flushdb()
        client.set("kept", 1)
        client.set("expiring", 1, ex=100)
        result = _cache(kind, redis.port)
        assert result.observed["redis_keys"] == 2
        assert result.observed["redis_keys_expiring"] == 1
        assert result.observed["redis_evictions"] == 0
        assert result.observed["redis_memory_used_bytes"] > 100_000
        assert {"redis_hits", "redis_misses", "redis_memory_max_bytes"} <= result.observed.keys()
        assert client.dbsize() == 2  # and no key of ours


def test_a_user_who_may_not_ask_redis_for_its_figures_is_healthy_all_the_same(
    redis: Server,
) -> None:
    with Redis(port=redis.port) as client:
        client.acl_setuser(
            "plain", enabled=True, passwords=[f"+{SECRET}"], keys=["*"], categories=["+@all"],
            commands=["-info"],
        )  # fmt: skip
        try:
            result = _cache(REDIS, redis.port, "plain")
        finally:
            client.acl_deluser("plain")
    assert result.status == "healthy"
    assert result.observed.keys() == {"duration_ms"}


def test_redis_without_memory_is_unhealthy(redis: Server) -> None:
    with Redis(port=redis.port) as client:
        client.config_set("maxmemory", 1)
        try:
            result = _cache(REDIS, redis.port)
        finally:
            client.config_set("maxmemory", 0)
    assert (result.status, result.message) == ("unhealthy", "It has no memory left.")


def test_redis_as_a_replica_is_unhealthy_as_what_is_written_to(redis: Server) -> None:
    with Redis(port=redis.port) as client, servers.redis() as replica:
        with Redis(port=replica.port) as other:
            other.replicaof("127.0.0.1", redis.port)
        assert client.ping()
        result = _cache(REDIS, replica.port)
    assert (result.status, result.message) == ("unhealthy", "It can only be read.")


@pytest.mark.parametrize("kind", [REDIS, PYMEMCACHE])
def test_each_server_of_a_cache_is_asked(kind: str, redis: Server, memcached: Server) -> None:
    port = redis.port if kind == REDIS else memcached.port
    scheme = "redis://" if kind == REDIS else ""
    with hanging() as silent:
        locations = [f"{scheme}127.0.0.1:{port}", f"{scheme}127.0.0.1:{silent.port}"]
        with override_settings(CACHES={"default": {"BACKEND": kind, "LOCATION": locations}}):
            result = one(CacheCheck(TIMEOUT_S, FAST_ENOUGH).run(), "default")
        silent.wait_until(lambda server: not server.open)
    assert (result.status, result.message) == ("unhealthy", "It did not answer in time.")


def test_django_redis_that_swallows_errors_is_unhealthy_and_its_pools_stay_its_own() -> None:
    from django_redis.pool import ConnectionFactory

    url = f"redis://127.0.0.1:{closed_port()}/0?socket_timeout=30"
    options = {"IGNORE_EXCEPTIONS": True, "CONNECTION_POOL_KWARGS": {"socket_connect_timeout": 30}}
    caches = {"default": {"BACKEND": DJANGO_REDIS, "LOCATION": url, "OPTIONS": options}}
    with override_settings(CACHES=caches):
        result = one(CacheCheck(TIMEOUT_S, FAST_ENOUGH).run(), "default")
    assert (result.status, result.message) == ("unhealthy", "Nothing listens there.")
    assert url not in ConnectionFactory._pools


def test_a_look_at_a_database_is_two_statements(mariadb: Server, mysql_driver: None) -> None:
    def statements() -> int:
        cursor.execute(
            "SHOW GLOBAL STATUS WHERE Variable_name IN ('Com_select', 'Com_show_status')"
        )
        return sum(int(value) for _, value in cursor.fetchall())

    with _mysql_alias(mariadb.port) as other, other.cursor() as cursor:
        before = statements()
        assert _database("other").status == "healthy"
        assert statements() - before - 1 == 2


def test_two_that_hang_take_no_longer_than_one(postgresql: Server) -> None:
    with hanging() as silent, _postgresql_alias(silent.port):
        databases = connections.settings
        databases["another"] = {**databases["other"]}
        try:
            began_s = time.monotonic()
            results = DatabaseCheck(TIMEOUT_S, FAST_ENOUGH, CONNECTIONS).run()
            assert time.monotonic() - began_s < IN_TIME_S
        finally:
            del databases["another"]
    assert {one(results, name).status for name in ("other", "another")} == {"unhealthy"}


def test_rabbitmq_knows_no_such_virtual_host(rabbitmq: Server) -> None:
    url = f"amqp://guest:guest@127.0.0.1:{rabbitmq.port}/n0where"
    with pytest.raises(CheckError, match=r"^It refused access to the virtual host\.$"):
        BrokerCheck(TIMEOUT_S, lambda: Celery(broker=url, set_as_current=False)).run()


def test_a_broker_of_several_is_reached_when_one_is_gone(rabbitmq: Server) -> None:
    gone = f"amqp://guest:guest@127.0.0.1:{closed_port()}//"
    there = f"amqp://guest:guest@127.0.0.1:{rabbitmq.port}//"
    app = Celery(broker=f"{gone};{there}", set_as_current=False)
    assert BrokerCheck(TIMEOUT_S, lambda: app).run().status == "healthy"


def wait_until(wanted: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 5
    while not wanted():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
