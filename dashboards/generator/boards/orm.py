"""One page for who tunes the ORM: response times, queries, cache, errors, health, slow queries."""

from dashboards.generator.board import Board
from dashboards.generator.panels import graph, number, rows
from dashboards.generator.queries import Query, increase, mean, quantile, quantiles, rate
from dashboards.generator.shared import (
    QUERIES,
    QUERIES_A_REQUEST,
    RANGE,
    REQUESTS,
    STATEMENT,
    error_rate,
    health_score,
    hit_rate,
    hit_rates,
    queries_a_request,
    query_time,
    query_times,
    response_time,
    slow_statements,
)

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
                response_time("Response time, p95"),
                query_time("Query time, p95"),
                number(
                    "Queries a request",
                    "The mean of all requests.",
                    mean(QUERIES_A_REQUEST),
                    unit="none",
                    levels=(20, 50),
                    runbook="HighQueryCount",
                    decimals=1,
                ),
                hit_rate("Cache hit rate"),
                error_rate(),
                health_score("System health score"),
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
                query_times("Query performance", width=12),
                queries_a_request("Queries a request by route"),
                graph(
                    "Time in the database by route",
                    "Its share of the whole time that requests take.",
                    Query(
                        f"topk(10, {IN_DATABASE} / ({IN_ALL} > 0))",
                        "{{http_route}}",
                    ),
                    unit="percentunit",
                ),
                hit_rates("Cache hit rate by cache"),
            ),
        ),
        (
            "Slow queries",
            (
                rows(
                    "Slow queries by operation and table",
                    "In this range, by their total time.",
                    STATEMENT,
                    {
                        "Calls": (
                            increase(f"{QUERIES}_count", by=STATEMENT, over=RANGE),
                            "none",
                        ),
                        "Total time": (
                            increase(f"{QUERIES}_sum", by=STATEMENT, over=RANGE),
                            "s",
                        ),
                        "p95": (
                            quantile(
                                0.95,
                                QUERIES,
                                by=STATEMENT,
                                over=RANGE,
                            ),
                            "s",
                        ),
                    },
                    sort="Total time",
                    width=12,
                ),
                slow_statements(width=12),
            ),
        ),
    ),
)
