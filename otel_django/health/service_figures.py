"""Observers of the site's databases and of its caches in Redis: how large and full they are.

Each look opens connections of its own, asks a question or two of each and closes them. What can't
be reached is left out: that it can't is for the health checks to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from otel_django import metric_definitions as metrics
from otel_django import names
from otel_django.health import database_session, redis_caches
from otel_django.health.checks.database import connections_of, first_statement
from otel_django.health.results import CheckError
from otel_django.observation import Observation

if TYPE_CHECKING:
    from otel_django.health.database_session import Session
    from otel_django.metric_points import MetricDefinition

_SIZES: Final = {
    "postgresql": "SELECT pg_database_size(current_database())",
    "mysql": "SELECT SUM(data_length + index_length) FROM information_schema.tables "
    "WHERE table_schema = DATABASE()",
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
}
"""In bytes, by Django's names of database systems."""
_FIGURES: Final[dict[str, MetricDefinition]] = {
    "redis_memory_used_bytes": metrics.REDIS_MEMORY_USED,
    "redis_keys": metrics.REDIS_KEYS,
    "redis_keys_expiring": metrics.REDIS_KEYS_EXPIRING,
    "redis_evictions": metrics.REDIS_EVICTIONS,
}
_Found = TypeVar("_Found")


class DatabaseSizes:
    """PostgreSQL, MySQL and SQLite; a database in memory has no size."""

    name = "database.sizes"
    scope: Literal["deployment"] = "deployment"

    def __init__(self, interval_s: float, timeout_s: float) -> None:
        self.interval_s = interval_s
        self.timeout_s = timeout_s

    def is_possible(self) -> bool:
        """There is a database."""
        return bool(database_session.primary_aliases())

    def observe(self) -> Iterator[Observation]:
        """One of each alias that answers."""
        for alias, figures in _of_each(database_session.primary_aliases(), self._figures):
            for definition, value in figures.items():
                if value is not None:
                    which = {names.DJANGO_DB_ALIAS: alias}
                    yield Observation(definition.name, value, which)

    def _figures(self, alias: str) -> dict[MetricDefinition, float | None]:
        with database_session.session(alias, self.timeout_s) as session:
            return {
                metrics.DJANGO_DB_SIZE: _size(session),
                metrics.DJANGO_DB_CONNECTION_UTILIZATION: _utilization(session),
            }


def _size(session: Session) -> int | None:
    sql = _SIZES.get(session.vendor)
    found = None if sql is None else session.rows(sql)[0][0]
    return int(found) if found else None


def _utilization(session: Session) -> float | None:
    found = connections_of(session, session.rows(first_statement(session)))
    return None if found is None else found[0] / found[1]


class RedisFigures:
    """What INFO says, of a cache's first server: the one that is written to."""

    name = "redis.figures"
    scope: Literal["deployment"] = "deployment"

    def __init__(self, interval_s: float, timeout_s: float) -> None:
        self.interval_s = interval_s
        self.timeout_s = timeout_s

    def is_possible(self) -> bool:
        """There is a cache in Redis."""
        return bool(_caches())

    def observe(self) -> Iterator[Observation]:
        """Four of each alias that answers."""
        for alias, figures in _of_each(_caches(), self._figures):
            which = {names.DJANGO_CACHE_ALIAS: alias}
            for name, definition in _FIGURES.items():
                if name in figures:
                    yield Observation(definition.name, figures[name], which)

    def _figures(self, alias: str) -> dict[str, int]:
        from django.core.cache import caches

        with redis_caches.clients(caches[alias], self.timeout_s) as (client, *_):
            database = client.connection_pool.connection_kwargs.get("db") or 0
            return redis_caches.figures(client.info(), int(database))


def _caches() -> list[str]:
    from django.core.cache import caches

    return [alias for alias in caches if _is_in_redis(alias)]


def _is_in_redis(alias: str) -> bool:
    from otel_django.health.cache_exchange import backend_of

    try:
        return redis_caches.is_in_redis(backend_of(alias))
    except CheckError:
        return False


def _of_each(aliases: Iterable[str], ask: Callable[[str], _Found]) -> list[tuple[str, _Found]]:
    """What was found of those that answer.

    Raises:
        Exception: what the first of them said, where none did.
    """
    found, failed = [], []
    for alias in aliases:
        try:
            found.append((alias, ask(alias)))
        except Exception as error:
            failed.append(error)
    if failed and not found:
        raise failed[0]
    return found
