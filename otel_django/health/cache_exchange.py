"""A value stored in a cache, read back and deleted, over connections of its own where it can be."""

from __future__ import annotations

import importlib
import secrets
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

from django.core.cache import caches
from django.core.cache.backends.db import DatabaseCache
from django.core.cache.backends.memcached import PyLibMCCache, PyMemcacheCache
from django.db import connections, router
from django.utils.module_loading import import_string

from otel_django.health import database_session, redis_caches
from otel_django.health.database_errors import UnknownTableError
from otel_django.health.results import CheckError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from django.core.cache.backends.base import BaseCache

_PREFIX: Final = "otel-django-health-"
_EXPIRY_S: Final = 30
_DATABASES: Final = frozenset({"mysql", "postgresql", "sqlite"})
"""Those that take our statements as they are."""


def backend_of(alias: str) -> type[BaseCache]:
    """The class that is configured.

    Raises:
        CheckError: it can't be imported.
    """
    try:
        found: type[BaseCache] = import_string(caches.settings[alias]["BACKEND"])
    except Exception as error:
        raise CheckError("Its back-end can't be imported.") from error
    return found


def exchange(
    alias: str, backend: type[BaseCache], timeout_s: float
) -> Callable[[], Mapping[str, Any]]:
    """What stores, reads and deletes: on each server of Memcached, of Redis on the first one.

    Its driver has been imported, which can take longer than what follows. Called, it returns what
    was observed. Redis, Memcached and databases are given ``timeout_s``, or for each step half of
    it.

    Raises:
        CheckError: what was read is not what was stored.
        Exception: of the driver, as it comes.
    """
    cache = _made(alias, backend)
    if redis_caches.is_in_redis(backend):
        importlib.import_module("redis")
        return lambda: _redis(cache, timeout_s / 2)
    if issubclass(backend, PyMemcacheCache | PyLibMCCache):
        options = _memcached_options(alias, backend, timeout_s / 2)
        each = [_made(alias, backend, LOCATION=[server], **options) for server in cache._servers]
        return lambda: _memcached(each)
    if issubclass(backend, DatabaseCache):
        database = router.db_for_write(cache.cache_model_class)
        if connections[database].vendor in _DATABASES:
            return lambda: _database(database, cache._table, timeout_s)
    return lambda: _any(cache)


def _made(alias: str, backend: type[BaseCache], **options: Any) -> Any:
    params = {**caches.settings[alias]}
    location = options.pop("LOCATION", params.pop("LOCATION", ""))
    params.pop("BACKEND")
    if options:
        params["OPTIONS"] = {**params.get("OPTIONS", {}), **options}
    make: Any = backend
    return make(location, params)


def _any(cache: Any) -> Mapping[str, Any]:
    key, value = _new(), _new()
    try:
        cache.set(key, value, _EXPIRY_S)
        read = cache.get(key)
        cache.delete(key)
    finally:
        with suppress(Exception):
            cache.close()
    _compare(value, read)
    return {}


def _redis(cache: Any, step_s: float) -> Mapping[str, Any]:
    key, value = cache.make_key(_new()), _new()
    with redis_caches.clients(cache, step_s) as (first, *others):
        with first.pipeline(transaction=False) as pipeline:
            pipeline.set(key, value, ex=_EXPIRY_S).get(key).delete(key).info()
            stored, read, deleted, info = pipeline.execute(raise_on_error=False)
        for answer in (stored, read, deleted):
            if isinstance(answer, Exception):
                raise answer
        _compare(value, read.decode() if isinstance(read, bytes) else read)
        for each in others:
            each.ping()
        database = first.connection_pool.connection_kwargs.get("db") or 0
    return redis_caches.figures(info, database) if isinstance(info, dict) else {}


def _memcached(each: Iterable[Any]) -> Mapping[str, Any]:
    for cache in each:
        try:
            _any(cache)
        finally:
            with suppress(Exception):  # Django leaves those of pylibmc open
                cache._cache.disconnect_all()
    return {}


def _memcached_options(alias: str, backend: type[BaseCache], step_s: float) -> dict[str, Any]:
    if not issubclass(backend, PyLibMCCache):
        return {"connect_timeout": step_s, "timeout": step_s, "ignore_exc": False}
    given = caches.settings[alias].get("OPTIONS", {}).get("behaviors", {})
    step_ms = int(step_s * 1000)
    timeouts = {
        "connect_timeout": step_ms,
        "_poll_timeout": step_ms,
        "send_timeout": step_ms * 1000,
        "receive_timeout": step_ms * 1000,
    }
    return {"behaviors": {**given, **timeouts}}


def _database(database: str, name: str, timeout_s: float) -> Mapping[str, Any]:
    key, value = _new(), _new()
    expires = datetime.now(timezone.utc) + timedelta(seconds=_EXPIRY_S)
    with database_session.session(database, timeout_s) as session:
        table = session.quoted(name)
        try:
            session.rows(
                f"INSERT INTO {table} (cache_key, value, expires) "  # noqa: S608
                f"VALUES ('{key}', '{value}', '{expires:%Y-%m-%d %H:%M:%S}')"
            )
        except UnknownTableError as error:
            raise CheckError("Its table isn't there: run manage.py createcachetable.") from error
        where = f"WHERE cache_key = '{key}'"
        read = session.rows(f"SELECT value FROM {table} {where}")  # noqa: S608
        session.rows(f"DELETE FROM {table} {where}")  # noqa: S608
    _compare(value, read[0][0] if read else None)
    return {}


def _new() -> str:
    return f"{_PREFIX}{secrets.token_hex(16)}"


def _compare(stored: str, read: Any) -> None:
    if read is None:
        raise CheckError("What was stored isn't there.")
    if read != stored:
        raise CheckError("What is read is not what was stored.")
