"""What several boards show: names of metrics, and panels that are the same on each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dashboards.generator.panels import WHOLE, graph, log_lines, number, page
from dashboards.generator.queries import (
    RATE,
    Query,
    quantile,
    quantiles,
    rate,
    ratio,
    select,
    share,
)

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import logs, stat, timeseries

RANGE: Final = "$__range"
LINES: Final = '{service_name=~"$service"}'
"""What the chosen services say, in Loki."""

REQUESTS: Final = "http_server_request_duration_seconds"
REQUEST_COUNT: Final = f"{REQUESTS}_count"
FAILED: Final = 'http_response_status_code=~"5.."'

QUERIES: Final = "db_client_operation_duration_seconds"
QUERIES_A_REQUEST: Final = "django_request_db_queries"
STATEMENT: Final = "db_operation_name, db_collection_name"

CACHED: Final = "django_cache_operations_total"
HIT: Final = 'django_cache_result="hit"'
READ: Final = 'django_cache_result=~"hit|miss"'


def failed_share(over: str = RATE) -> str:
    """The share of requests that are answered with 5xx."""
    return ratio(rate(REQUEST_COUNT, FAILED, over=over), rate(REQUEST_COUNT, over=over))


def error_rate() -> stat.Panel:
    """Of all requests."""
    return number(
        "Error rate",
        "The share of requests that are answered with 5xx.",
        failed_share(),
        unit="percentunit",
        levels=(0.01, 0.05),
        runbook="HighErrorRate",
    )


def response_time(title: str = "95th percentile") -> stat.Panel:
    """Of requests."""
    return number(
        title,
        "19 of 20 requests are answered within this time.",
        quantile(0.95, REQUESTS),
        unit="s",
        levels=(1, 2),
        runbook="HighResponseTime",
    )


def query_time(title: str = "95th percentile") -> stat.Panel:
    """Of statements."""
    return number(
        title,
        "19 of 20 statements take no longer.",
        quantile(0.95, QUERIES),
        unit="s",
        levels=(0.1, 0.5),
        runbook="SlowDatabaseQueries",
    )


def query_times(title: str = "Durations", width: int = 8) -> timeseries.Panel:
    """Of statements, over time."""
    return graph(
        title,
        "Percentiles of all statements; dots open a trace.",
        *quantiles(QUERIES),
        unit="s",
        width=width,
        levels=(0.1, 0.5),
        runbook="SlowDatabaseQueries",
        links=[page("Statements", "performance/queries/")],
    )


def slow_statements(width: int = WHOLE) -> logs.Panel:
    """What the site has said of them."""
    return log_lines(
        "Slow and repeated statements",
        "Each with its text and the line of code; its trace is in its details.",
        f'{LINES} | event_name=~"query.slow|query.repeated"',
        width=width,
    )


def hit_rate(title: str = "Hit rate", width: int = 4) -> stat.Panel:
    """Of all caches."""
    return number(
        title,
        "The share of reads that find something.",
        ratio(rate(CACHED, HIT), rate(CACHED, READ)),
        unit="percentunit",
        levels=(0.8, 0.5),
        runbook="LowCacheHitRate",
        width=width,
    )


def hit_rates(title: str = "Hit rate") -> timeseries.Panel:
    """Of each cache, over time."""
    return graph(
        title,
        "The share of reads that find something, by cache.",
        Query(share(CACHED, HIT, READ, by="django_cache_alias"), "{{django_cache_alias}}"),
        unit="percentunit",
        most=1,
        runbook="LowCacheHitRate",
        links=[page("Cache", "performance/cache/")],
    )


def health_score(title: str = "Health score") -> stat.Panel:
    """The worst of all instances."""
    return number(
        title,
        "The mean of all health checks, critical ones counted thrice; 100 is well.",
        f"min ({select('health_score')})",
        unit="none",
        levels=(80, 50),
        runbook="HealthScoreLow",
    )


def queries_a_request(title: str) -> timeseries.Panel:
    """By route, over time."""
    return graph(
        title,
        "The 95th percentile of the ten first routes; more than 50 mostly is an N+1.",
        Query(f"topk(10, {quantile(0.95, QUERIES_A_REQUEST, by='http_route')})", "{{http_route}}"),
        unit="none",
        levels=(50, 200),
        runbook="HighQueryCount",
        links=[page("Statements", "performance/queries/")],
    )
