"""Caches in Redis, by Django's back-end and by django-redis: their servers, and what one tells."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from django.core.cache.backends.base import BaseCache

_MEMORY: Final = "redis_memory_used_bytes"
_FIGURES: Final = {
    _MEMORY: "used_memory",
    "redis_memory_max_bytes": "maxmemory",
    "redis_hits": "keyspace_hits",
    "redis_misses": "keyspace_misses",
    "redis_evictions": "evicted_keys",
}
"""What we call figures of the whole server, and what INFO does."""


def is_in_redis(backend: type[BaseCache]) -> bool:
    """Whether ``clients`` knows how to make clients for this class."""
    from django.core.cache.backends.redis import RedisCache

    return issubclass(backend, RedisCache) or _is_django_redis(backend)


def _is_django_redis(backend: type) -> bool:
    return any(base.__module__.partition(".")[0] == "django_redis" for base in backend.__mro__)


@contextmanager
def clients(cache: Any, timeout_s: float) -> Iterator[list[Any]]:
    """A client for each server of the cache, the one that is written to first; none shared.

    Nothing is tried again, and each step has ``timeout_s``. Closed when the block ends.
    """
    made = _django_redis(cache) if _is_django_redis(type(cache)) else _django(cache)
    for client in made:
        _bound(client.connection_pool, timeout_s)
    try:
        yield made
    finally:
        for client in made:
            with suppress(Exception):
                client.connection_pool.disconnect()


def _django(cache: Any) -> list[Any]:
    maker = cache._cache
    return [
        maker._client(connection_pool=maker._pool_class.from_url(url, **maker._pool_options))
        for url in maker._servers
    ]


def _django_redis(cache: Any) -> list[Any]:
    client = cache.client
    factory = client.connection_factory  # its own pools are those of the whole process
    more = getattr(factory, "redis_client_cls_kwargs", {})
    return [
        factory.redis_client_cls(
            connection_pool=factory.get_connection_pool(factory.make_connection_params(url)),
            **more,
        )
        for url in client._server
    ]


def _bound(pool: Any, timeout_s: float) -> None:
    sentinels = getattr(getattr(pool, "sentinel_manager", None), "sentinels", ())
    for each in (pool, *(sentinel.connection_pool for sentinel in sentinels)):
        options = each.connection_kwargs
        options.update(socket_timeout=timeout_s, retry=None, retry_on_timeout=False)
        options.pop("retry_on_error", None)
        if "path" not in options:
            options["socket_connect_timeout"] = timeout_s


def figures(info: Mapping[str, Any], database: int) -> dict[str, int]:
    """Of what INFO answered, by names with their units; keys are those of the one database."""
    if _FIGURES[_MEMORY] not in info:
        return {}
    found = {name: int(info[key]) for name, key in _FIGURES.items() if key in info}
    keys = info.get(f"db{database}", {"keys": 0, "expires": 0})
    return {**found, "redis_keys": keys["keys"], "redis_keys_expiring": keys["expires"]}
