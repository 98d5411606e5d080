"""Caches: hits, times, and what Redis holds."""

from dashboards.generator.board import Board
from dashboards.generator.panels import graph, number, rows
from dashboards.generator.queries import Query, increase, quantile, quantiles, rate, select, share
from dashboards.generator.shared import CACHED, HIT, RANGE, READ, hit_rate, hit_rates

TIMES = "django_cache_operation_duration_seconds"
PREFIX = "django_cache_alias, django_cache_key_prefix"

BOARD = Board(
    "cache",
    "Django: cache",
    "How often caches help, by alias and key prefix, how long they take, what they hold.",
    (
        (
            "Now",
            (
                hit_rate(width=6),
                number("Operations", "A second.", rate(CACHED), unit="ops", width=6),
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
                hit_rates(),
                graph(
                    "Operations",
                    "A second, by what was done.",
                    Query(rate(CACHED, by="django_cache_operation"), "{{django_cache_operation}}"),
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
                            increase(CACHED, by=PREFIX, over=RANGE),
                            "none",
                        ),
                        "Hit rate": (
                            share(CACHED, HIT, READ, by=PREFIX, over=RANGE),
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
