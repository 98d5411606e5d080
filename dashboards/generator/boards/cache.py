"""Caches: hits, times, and what Redis holds."""

from dashboards.generator.board import Board
from dashboards.generator.panels import graph, number, page, rows
from dashboards.generator.queries import (
    Query,
    increase,
    quantile,
    quantiles,
    rate,
    ratio,
    select,
    share,
)

OPERATIONS = "django_cache_operations_total"
TIMES = "django_cache_operation_duration_seconds"
HIT = 'django_cache_result="hit"'
READ = 'django_cache_result=~"hit|miss"'
PREFIX = "django_cache_alias, django_cache_key_prefix"
RANGE = "$__range"

BOARD = Board(
    "cache",
    "Django: cache",
    "How often caches help, by alias and key prefix, how long they take, what they hold.",
    (
        (
            "Now",
            (
                number(
                    "Hit rate",
                    "The share of reads that find something.",
                    ratio(rate(OPERATIONS, HIT), rate(OPERATIONS, READ)),
                    unit="percentunit",
                    levels=(0.8, 0.5),
                    runbook="LowCacheHitRate",
                    width=6,
                ),
                number("Operations", "A second.", rate(OPERATIONS), unit="ops", width=6),
                number(
                    "95th percentile",
                    "19 of 20 operations take no longer.",
                    quantile(0.95, TIMES),
                    unit="s",
                    width=6,
                ),
                number(
                    "Redis memory",
                    "Used by the caches that are Redis; the larger of several.",
                    f"max ({select('redis_memory_used_bytes')})",
                    unit="bytes",
                    width=6,
                ),
            ),
        ),
        (
            "Over time",
            (
                graph(
                    "Hit rate",
                    "By cache.",
                    Query(
                        share(OPERATIONS, HIT, READ, by="django_cache_alias"),
                        "{{django_cache_alias}}",
                    ),
                    unit="percentunit",
                    most=1,
                    runbook="LowCacheHitRate",
                    links=[page("Cache", "performance/cache/")],
                ),
                graph(
                    "Operations",
                    "A second, by what was done.",
                    Query(
                        rate(OPERATIONS, by="django_cache_operation"), "{{django_cache_operation}}"
                    ),
                    unit="ops",
                    stacked=True,
                ),
                graph(
                    "Times",
                    "Percentiles of all operations; dots open a trace.",
                    *quantiles(TIMES),
                    unit="s",
                ),
            ),
        ),
        (
            "Key prefixes",
            (
                rows(
                    "Effect by key prefix",
                    "In this range.",
                    PREFIX,
                    {
                        "Operations": (
                            increase(OPERATIONS, by=PREFIX, over=RANGE),
                            "none",
                        ),
                        "Hit rate": (
                            share(OPERATIONS, HIT, READ, by=PREFIX, over=RANGE),
                            "percentunit",
                        ),
                        "p95": (quantile(0.95, TIMES, by=PREFIX, over=RANGE), "s"),
                    },
                    sort="Operations",
                ),
            ),
        ),
        (
            "Redis",
            (
                graph(
                    "Memory",
                    "Used by each cache that is Redis.",
                    Query(
                        f"max by (django_cache_alias) ({select('redis_memory_used_bytes')})",
                        "{{django_cache_alias}}",
                    ),
                    unit="bytes",
                ),
                graph(
                    "Keys",
                    "All, and those that expire.",
                    Query(
                        f"max by (django_cache_alias) ({select('redis_keys')})",
                        "{{django_cache_alias}}",
                    ),
                    Query(
                        f"max by (django_cache_alias) ({select('redis_keys_expiring')})",
                        "{{django_cache_alias}}, expiring",
                    ),
                    unit="none",
                ),
                graph(
                    "Evictions",
                    "Keys thrown out since Redis started: its memory is full.",
                    Query(
                        f"max by (django_cache_alias) ({select('redis_evictions')})",
                        "{{django_cache_alias}}",
                    ),
                    unit="none",
                ),
            ),
        ),
    ),
)
