"""How much the caches find, and how long they take, since the metrics of this host began."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, TypedDict

from otel_django import metric_definitions as metrics
from otel_django import names
from otel_django.health.report_json import timestamp
from otel_django.web import ratings
from otel_django.web.metric_sums import Durations, Spread
from otel_django.web.ratings import Rating  # noqa: TC001 - read for the schema

if TYPE_CHECKING:
    from otel_django.web.metric_sums import Sums


class KeyPrefix(TypedDict):
    """Keys that begin alike; ``prefix`` is empty for those without one."""

    prefix: str
    hits: int
    misses: int
    hit_ratio: float | None
    rating: Rating | None


class CacheOperation(TypedDict):
    """One kind of call."""

    operation: str
    errors: int
    durations: Durations | None


class CacheAlias(TypedDict):
    """One of CACHES."""

    alias: str
    hits: int
    misses: int
    hit_ratio: float | None
    rating: Rating | None
    errors: int
    prefixes: list[KeyPrefix]
    operations: list[CacheOperation]


class CachePerformance(TypedDict):
    """``since`` is when counting began, null where nothing was counted."""

    timestamp: str
    since: str | None
    rating: Rating | None
    caches: list[CacheAlias]


class _Lookups:
    def __init__(self) -> None:
        self.hits = self.misses = 0

    def add(self, result: object, count: float) -> None:
        if result == "hit":
            self.hits += int(count)
        elif result == "miss":
            self.misses += int(count)

    @property
    def ratio(self) -> float | None:
        looked_up = self.hits + self.misses
        return round(self.hits / looked_up, 4) if looked_up else None


class _Alias:
    def __init__(self) -> None:
        self.all = _Lookups()
        self.prefixes: dict[str, _Lookups] = defaultdict(_Lookups)
        self.errors: dict[str, int] = defaultdict(int)
        self.spreads: dict[str, Spread] = defaultdict(Spread)


def cache_performance(sums: Sums, limit: int, now_ns: int) -> CachePerformance:
    """At most ``limit`` key prefixes of each cache, those looked up most."""
    found: dict[str, _Alias] = defaultdict(_Alias)
    began_ns = []
    for attributes, point, _ in sums.points(metrics.DJANGO_CACHE_OPERATIONS):
        began_ns.append(point.start_ns)
        alias = found[str(attributes.get(names.DJANGO_CACHE_ALIAS, ""))]
        result, count = attributes.get(names.DJANGO_CACHE_RESULT), getattr(point, "value", 0)
        alias.all.add(result, count)
        prefix = str(attributes.get(names.DJANGO_CACHE_KEY_PREFIX) or "")
        alias.prefixes[prefix].add(result, count)
        if result == "error":
            alias.errors[str(attributes.get(names.DJANGO_CACHE_OPERATION, ""))] += int(count)
    for attributes, point, metric in sums.points(metrics.DJANGO_CACHE_OPERATION_DURATION):
        alias = found[str(attributes.get(names.DJANGO_CACHE_ALIAS, ""))]
        alias.spreads[str(attributes.get(names.DJANGO_CACHE_OPERATION, ""))].add(point, metric)
    caches = [_alias(name, alias, limit) for name, alias in sorted(found.items())]
    return {
        "timestamp": timestamp(now_ns),
        "since": timestamp(min(began_ns)) if began_ns else None,
        "rating": ratings.worst(cache["rating"] for cache in caches),
        "caches": caches,
    }


def _alias(name: str, found: _Alias, limit: int) -> CacheAlias:
    prefixes = [
        _prefix(prefix, lookups)
        for prefix, lookups in found.prefixes.items()
        if lookups.hits or lookups.misses
    ]
    prefixes.sort(key=lambda each: -(each["hits"] + each["misses"]))
    return {
        "alias": name,
        "hits": found.all.hits,
        "misses": found.all.misses,
        "hit_ratio": found.all.ratio,
        "rating": ratings.of_hit_ratio(found.all.ratio),
        "errors": sum(found.errors.values()),
        "prefixes": prefixes[:limit],
        "operations": [
            {
                "operation": operation,
                "errors": found.errors.get(operation, 0),
                "durations": found.spreads[operation].durations(),
            }
            for operation in sorted({*found.spreads, *found.errors})
        ],
    }


def _prefix(prefix: str, lookups: _Lookups) -> KeyPrefix:
    return {
        "prefix": prefix,
        "hits": lookups.hits,
        "misses": lookups.misses,
        "hit_ratio": lookups.ratio,
        "rating": ratings.of_hit_ratio(lookups.ratio),
    }
