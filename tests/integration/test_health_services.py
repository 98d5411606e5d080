"""The checks of databases, caches and brokers against real ones, near and behind a bad proxy."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from celery import Celery
from django.test import override_settings

from otel_django.conf.limits import Limit
from otel_django.health.checks.cache import CacheCheck
from otel_django.health.checks.celery_broker import BrokerCheck
from otel_django.health.checks.database import DatabaseCheck
from otel_django.health.results import CheckError, Result
from tests.integration.servers import Server
from tests.misbehaving import Proxy, proxy
from tests.site.databases import database_alias

SECRET = "s3cr3tv4lu3"
TIMEOUT_S = 1.5
SLOW_MS = Limit(200, 5000)
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
    """A check of the server behind ``proxy``; ``ask`` once more with another ``user``."""

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
        yield Service(kind, near, lambda user=None: asks[kind](kind, near.port, user))


def _postgresql(kind: str, port: int, user: str | None) -> Result:
    with _postgresql_alias(port, user):
        return one(DatabaseCheck(TIMEOUT_S, SLOW_MS, Limit(80, 95)).run(), "other")


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


def _mysql(kind: str, port: int, user: str | None) -> Result:
    with database_alias(
        "other",
        ENGINE="django.db.backends.mysql",
        NAME="test",
        USER=user or "root",
        PASSWORD=SECRET if user else "",
        HOST="127.0.0.1",
        PORT=port,
    ):
        return one(DatabaseCheck(TIMEOUT_S, SLOW_MS, Limit(80, 95)).run(), "other")


def _cache(kind: str, port: int, user: str | None) -> Result:
    credentials = f"{user}:{SECRET}@" if user else ""
    location = f"redis://{credentials}127.0.0.1:{port}/3"
    if kind == PYMEMCACHE:
        location = f"127.0.0.1:{port}"
    with override_settings(CACHES={"default": {"BACKEND": kind, "LOCATION": location}}):
        return one(CacheCheck(TIMEOUT_S, SLOW_MS).run(), "default")


class Router:
    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "other"

    db_for_read = db_for_write


def _database_cache(kind: str, port: int, user: str | None) -> Result:
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
        return one(CacheCheck(TIMEOUT_S, SLOW_MS).run(), "default")


def _make_cache_table(server: Server) -> None:
    import psycopg

    with psycopg.connect(host="127.0.0.1", port=server.port, user="postgres") as connection:
        connection.execute(
            'CREATE TABLE IF NOT EXISTS "cache table" '
            "(cache_key varchar(255) PRIMARY KEY, value text, expires timestamptz)"
        )


def _broker(kind: str, port: int, user: str | None) -> Result:
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
        assert time.monotonic() - began_s < TIMEOUT_S
        service.proxy.pass_on()
        assert service.ask().status == "healthy"


def test_what_accepts_and_never_answers_is_unhealthy_in_time(service: Service) -> None:
    with nothing_left(service):
        service.proxy.hang()
        began_s = time.monotonic()
        result = service.ask()
        assert (result.status, result.message) == ("unhealthy", "It did not answer in time.")
        assert time.monotonic() - began_s < TIMEOUT_S
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
        result = service.ask()
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
