"""How the site is, in one look: rate, errors, durations, health, orders."""

from dashboards.generator.board import Board
from dashboards.generator.panels import graph, number, page
from dashboards.generator.queries import Query, quantile, quantiles, rate, select, share
from dashboards.generator.shared import (
    FAILED,
    REQUEST_COUNT,
    REQUESTS,
    error_rate,
    health_score,
    response_time,
)

FIRING = 'alertstate="firing"'

BOARD = Board(
    "overview",
    "Django: overview",
    "Rate, errors and durations of requests, health, alerts and orders of one or all services.",
    (
        (
            "Now",
            (
                number("Requests", "Requests a second.", rate(REQUEST_COUNT), unit="reqps"),
                error_rate(),
                response_time(),
                health_score(),
                number(
                    "Firing alerts",
                    "Alerts that fire, of the site's own evaluator or else of Prometheus.",
                    f"sum ({select('alerts_firing')}) "
                    f"or count ({select('ALERTS', FIRING)}) or vector(0)",
                    unit="none",
                    levels=(1, 5),
                ),
                number(
                    "Orders",
                    "Orders placed in the last hour: the example shop's business metric.",
                    f"sum (increase({select('orders_placed_total')}[1h]))",
                    unit="none",
                    decimals=0,
                ),
            ),
        ),
        (
            "Requests",
            (
                graph(
                    "Requests by status",
                    "Requests a second by the class of their status.",
                    Query(
                        "sum by (class) (label_replace(rate("
                        f"{select(REQUEST_COUNT)}[$__rate_interval]), "
                        '"class", "${1}xx", "http_response_status_code", "(.).*"))',
                        "{{class}}",
                    ),
                    unit="reqps",
                    stacked=True,
                    links=[page("Traces", "traces/")],
                ),
                graph(
                    "Durations",
                    "Percentiles of the time until the last byte; dots open a trace.",
                    *quantiles(REQUESTS),
                    unit="s",
                    levels=(1, 2),
                    runbook="HighResponseTime",
                ),
                graph(
                    "Error rate by route",
                    "The share of requests of each route that are answered with 5xx.",
                    Query(
                        share(REQUEST_COUNT, FAILED, by="http_route"),
                        "{{http_route}}",
                    ),
                    unit="percentunit",
                    levels=(0.01, 0.05),
                    most=1,
                    runbook="HighErrorRate",
                    links=[page("Errors", "errors/")],
                ),
                graph(
                    "Slowest routes",
                    "The 95th percentile of the five slowest routes.",
                    Query(
                        f"topk(5, {quantile(0.95, REQUESTS, by='http_route')})", "{{http_route}}"
                    ),
                    unit="s",
                    links=[page("Endpoints", "endpoints/")],
                ),
                graph(
                    "Requests being served",
                    "Requests that have come and aren't answered yet.",
                    Query(f"sum by (job) ({select('http_server_active_requests')})", "{{job}}"),
                    unit="none",
                ),
                graph(
                    "Exceptions",
                    "Exceptions that reached the request handler, by type.",
                    Query(rate("django_exceptions_total", by="error_type"), "{{error_type}}"),
                    unit="ops",
                    stacked=True,
                ),
            ),
        ),
        (
            "Health and business",
            (
                graph(
                    "Health checks",
                    "1 healthy, 0.5 degraded, 0 unhealthy; the worst instance of each.",
                    Query(
                        f"min by (health_check_name) ({select('health_check_status')})",
                        "{{health_check_name}}",
                    ),
                    unit="none",
                    most=1,
                    width=12,
                    runbook="HealthCheckFailing",
                ),
                graph(
                    "Orders",
                    "Orders placed a minute: the example shop's business metric.",
                    Query(f"60 * {rate('orders_placed_total', by='job')}", "{{job}}"),
                    unit="none",
                    width=12,
                ),
            ),
        ),
    ),
)
