"""One page for who tunes the ORM: response times, queries, cache, errors, health, slow queries."""

from dashboards.generator.board import Board
from dashboards.generator.panels import graph, log_lines, number, page, rows
from dashboards.generator.queries import (
    Query,
    increase,
    mean,
    quantile,
    quantiles,
    rate,
    ratio,
    select,
    share,
)

REQUESTS = "http_server_request_duration_seconds"
QUERIES = "db_client_operation_duration_seconds"
COUNTED = "django_request_db_queries"
FAILED = 'http_response_status_code=~"5.."'
CACHED = "django_cache_operations_total"
HIT = 'django_cache_result="hit"'
READ = 'django_cache_result=~"hit|miss"'
RANGE = "$__range"
TABLE = "db_operation_name, db_collection_name"
IN_DATABASE = rate("django_request_db_duration_seconds_sum", by="http_route")
IN_ALL = rate(f"{REQUESTS}_sum", by="http_route")

BOARD = Board(
    "orm",
    "Django: ORM",
    "Response times, queries, cache hits, errors and health on one page.",
    (
        (
            "Now",
            (
                number(
                    "Response time, p95",
                    "19 of 20 requests are answered within this time.",
                    quantile(0.95, REQUESTS),
                    unit="s",
                    levels=(1, 2),
                    runbook="HighResponseTime",
                ),
                number(
                    "Query time, p95",
                    "19 of 20 statements take no longer.",
                    quantile(0.95, QUERIES),
                    unit="s",
                    levels=(0.1, 0.5),
                    runbook="SlowDatabaseQueries",
                ),
                number(
                    "Queries a request",
                    "The mean of all requests.",
                    mean(COUNTED),
                    unit="none",
                    levels=(20, 50),
                    runbook="HighQueryCount",
                    decimals=1,
                ),
                number(
                    "Cache hit rate",
                    "The share of reads that find something.",
                    ratio(rate(CACHED, HIT), rate(CACHED, READ)),
                    unit="percentunit",
                    levels=(0.8, 0.5),
                    runbook="LowCacheHitRate",
                ),
                number(
                    "Error rate",
                    "The share of requests that are answered with 5xx.",
                    ratio(rate(f"{REQUESTS}_count", FAILED), rate(f"{REQUESTS}_count")),
                    unit="percentunit",
                    levels=(0.01, 0.05),
                    runbook="HighErrorRate",
                ),
                number(
                    "System health score",
                    "The mean of all health checks; 100 is well.",
                    f"min ({select('health_score')})",
                    unit="none",
                    levels=(80, 50),
                    runbook="HealthScoreLow",
                ),
            ),
        ),
        (
            "Response time and queries",
            (
                graph(
                    "Response time percentiles",
                    "Time until the last byte; dots open a trace.",
                    *quantiles(REQUESTS),
                    unit="s",
                    width=12,
                    levels=(1, 2),
                    runbook="VeryHighResponseTime",
                ),
                graph(
                    "Query performance",
                    "Percentiles of all statements; dots open a trace.",
                    *quantiles(QUERIES),
                    unit="s",
                    width=12,
                    levels=(0.1, 0.5),
                    runbook="SlowDatabaseQueries",
                ),
                graph(
                    "Queries a request by route",
                    "The 95th percentile of the ten first.",
                    Query(
                        f"topk(10, {quantile(0.95, COUNTED, by='http_route')})", "{{http_route}}"
                    ),
                    unit="none",
                    levels=(50, 200),
                    runbook="HighQueryCount",
                ),
                graph(
                    "Time in the database by route",
                    "Its share of the whole time that requests take.",
                    Query(
                        f"topk(10, {IN_DATABASE} / ({IN_ALL} > 0))",
                        "{{http_route}}",
                    ),
                    unit="percentunit",
                ),
                graph(
                    "Cache hit rate by cache",
                    "The share of reads that find something.",
                    Query(
                        share(CACHED, HIT, READ, by="django_cache_alias"),
                        "{{django_cache_alias}}",
                    ),
                    unit="percentunit",
                    most=1,
                    links=[page("Cache", "performance/cache/")],
                ),
            ),
        ),
        (
            "Slow queries",
            (
                rows(
                    "Slow queries by operation and table",
                    "In this range, by their total time.",
                    TABLE,
                    {
                        "Calls": (
                            increase(f"{QUERIES}_count", by=TABLE, over=RANGE),
                            "none",
                        ),
                        "Total time": (
                            increase(f"{QUERIES}_sum", by=TABLE, over=RANGE),
                            "s",
                        ),
                        "p95": (
                            quantile(
                                0.95,
                                QUERIES,
                                by=TABLE,
                                over=RANGE,
                            ),
                            "s",
                        ),
                    },
                    sort="Total time",
                    width=12,
                ),
                log_lines(
                    "Slow and repeated statements",
                    "Each with its text and the line of code.",
                    '{service_name=~"$job"} | event_name=~"query.slow|query.repeated"',
                    width=12,
                ),
            ),
        ),
    ),
)
