"""How statements and caches perform."""

from __future__ import annotations

from typing import Final

from otel_django.clock import SYSTEM_CLOCK
from otel_django.web.cache_performance import CachePerformance, cache_performance
from otel_django.web.json_endpoint import Asked, Whole, class_of, get, json_view
from otel_django.web.metric_sums import host_sums
from otel_django.web.query_performance import QueryPerformance, query_performance

_HOURS: Final = Whole("hours", "How far to look back.", default=1, least=1, most=720)
_LIMIT: Final = Whole("limit", "The longest list.", default=20, least=1, most=100)


@get(parameters=(_HOURS, _LIMIT))
def _queries(asked: Asked) -> QueryPerformance:
    """The slowest and most frequent statements, N+1 with the line of code, and a rating."""
    return query_performance(
        asked.settings, asked.query["hours"], asked.query["limit"], SYSTEM_CLOCK.now_ns()
    )


@get(parameters=(_LIMIT,))
def _cache(asked: Asked) -> CachePerformance:
    """Hit ratios by cache and key prefix, times by operation, and a rating."""
    return cache_performance(host_sums(), asked.query["limit"], SYSTEM_CLOCK.now_ns())


performance_queries = json_view("performance_queries", _queries)
performance_cache = json_view("performance_cache", _cache)
PerformanceQueriesView = class_of(performance_queries)
PerformanceCacheView = class_of(performance_cache)
