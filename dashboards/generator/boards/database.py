"""Queries and connections."""

from dashboards.generator.board import Board
from dashboards.generator.panels import graph, number, rows
from dashboards.generator.queries import Query, increase, mean, named, quantile, rate, select
from dashboards.generator.shared import (
    QUERIES,
    RANGE,
    STATEMENT,
    query_time,
    query_times,
    slow_statements,
)

BOARD = Board(
    "database",
    "Django: database",
    "Statements by what they do and to which table, connections, errors, size.",
    (
        (
            "Now",
            (
                number("Queries", "Statements a second.", rate(f"{QUERIES}_count"), unit="ops"),
                query_time(),
                number(
                    "Time in the database",
                    "Seconds a second that requests and tasks wait for it, all together.",
                    rate(f"{QUERIES}_sum"),
                    unit="none",
                    decimals=2,
                ),
                number(
                    "Connections in use",
                    "The share of the database's limit.",
                    f"max ({select('django_db_connection_utilization_ratio')})",
                    unit="percentunit",
                    levels=(0.8, 0.95),
                    runbook="DatabaseConnectionsExhausted",
                ),
                number(
                    "Size",
                    "Of all databases.",
                    f"sum (max by (django_db_alias) ({select('django_db_size_bytes')}))",
                    unit="bytes",
                ),
                number(
                    "Connection errors",
                    "Connections that couldn't be made in the last five minutes.",
                    f"sum (increase({select('django_db_connection_errors_total')}[5m])) "
                    "or vector(0)",
                    unit="none",
                    levels=(1, 1),
                    runbook="DatabaseConnectionErrors",
                    decimals=0,
                ),
            ),
        ),
        (
            "Slow queries",
            (
                rows(
                    "Statements by total time in this range",
                    "What they do and to which table; the site's own page has the statements.",
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
                        "Mean": (mean(QUERIES, by=STATEMENT, over=RANGE), "s"),
                        "p95": (quantile(0.95, QUERIES, by=STATEMENT, over=RANGE), "s"),
                        "p99": (quantile(0.99, QUERIES, by=STATEMENT, over=RANGE), "s"),
                    },
                    sort="Total time",
                ),
                slow_statements(),
            ),
        ),
        (
            "Over time",
            (
                query_times(),
                graph(
                    "By operation",
                    "Statements a second.",
                    Query(
                        rate(f"{QUERIES}_count", by="db_operation_name"), "{{db_operation_name}}"
                    ),
                    unit="ops",
                    stacked=True,
                ),
                graph(
                    "By table",
                    "Seconds a second that are waited for each table; the ten first.",
                    Query(
                        named(
                            f"topk(10, {rate(f'{QUERIES}_sum', by='db_collection_name')})",
                            "db_collection_name",
                            "no table",
                        ),
                        "{{db_collection_name}}",
                    ),
                    unit="none",
                    stacked=True,
                ),
                graph(
                    "Connections",
                    "Open connections of all processes by state.",
                    Query(
                        "sum by (db_client_connection_state) "
                        f"({select('db_client_connection_count')})",
                        "{{db_client_connection_state}}",
                    ),
                    unit="none",
                    stacked=True,
                ),
                graph(
                    "Failed statements",
                    "Statements a second that end with an error.",
                    Query(
                        rate(f"{QUERIES}_count", 'error_type!=""', by="error_type"),
                        "{{error_type}}",
                    ),
                    unit="ops",
                ),
                graph(
                    "Slow queries",
                    "Statements a minute that take longer than OTEL_DJANGO_SLOW_QUERY_MS.",
                    Query(
                        f"60 * {rate('django_db_slow_queries_total', by='django_db_alias')}",
                        "{{django_db_alias}}",
                    ),
                    unit="none",
                ),
            ),
        ),
    ),
)
