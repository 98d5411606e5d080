"""Each route: how often, how fast, how many queries."""

from dashboards.generator.board import Board
from dashboards.generator.panels import SITE, graph, rows
from dashboards.generator.queries import Query, increase, mean, named, quantile, rate, share
from dashboards.generator.shared import (
    FAILED,
    QUERIES_A_REQUEST,
    RANGE,
    REQUEST_COUNT,
    REQUESTS,
    queries_a_request,
)

KEY = "http_route, http_request_method"
ANSWERS = "http_server_response_body_size_bytes"

BOARD = Board(
    "endpoints",
    "Django: endpoints",
    "Every route with its rate, errors, durations, queries and sizes.",
    (
        (
            "Routes",
            (
                rows(
                    "Routes in this range",
                    "One row a route and method; a route leads to its page with its traces.",
                    KEY,
                    {
                        "Requests": (
                            increase(REQUEST_COUNT, by=KEY, over=RANGE),
                            "none",
                        ),
                        "Errors": (
                            share(REQUEST_COUNT, FAILED, by=KEY, over=RANGE),
                            "percentunit",
                        ),
                        "p50": (quantile(0.5, REQUESTS, by=KEY, over=RANGE), "s"),
                        "p95": (quantile(0.95, REQUESTS, by=KEY, over=RANGE), "s"),
                        "p99": (quantile(0.99, REQUESTS, by=KEY, over=RANGE), "s"),
                        "Queries": (mean(QUERIES_A_REQUEST, by=KEY, over=RANGE), "none"),
                    },
                    sort="p95",
                    link=("Its traces", f"{SITE}/traces/?q=route:${{__value.text}}"),
                ),
            ),
        ),
        (
            "Over time",
            (
                graph(
                    "Requests by route",
                    "Requests a second of the ten busiest routes.",
                    Query(
                        named(
                            f"topk(10, {rate(REQUEST_COUNT, by='http_route')})",
                            "http_route",
                            "no route",
                        ),
                        "{{http_route}}",
                    ),
                    unit="reqps",
                    width=12,
                    stacked=True,
                ),
                graph(
                    "95th percentile by route",
                    "Of the ten slowest routes.",
                    Query(
                        f"topk(10, {quantile(0.95, REQUESTS, by='http_route')})", "{{http_route}}"
                    ),
                    unit="s",
                    width=12,
                    levels=(1, 2),
                    runbook="HighResponseTime",
                ),
                graph(
                    "Client errors by route",
                    "Requests a second that are answered with 4xx.",
                    Query(
                        named(
                            rate(
                                REQUEST_COUNT, 'http_response_status_code=~"4.."', by="http_route"
                            ),
                            "http_route",
                            "no route",
                        ),
                        "{{http_route}}",
                    ),
                    unit="reqps",
                ),
                queries_a_request("Queries a request"),
                graph(
                    "Size of answers",
                    "The mean by route.",
                    Query(
                        f"topk(10, {mean(ANSWERS, by='http_route')})",
                        "{{http_route}}",
                    ),
                    unit="bytes",
                ),
            ),
        ),
        (
            "API",
            (
                graph(
                    "API requests",
                    "Requests a second to routes that count as the API (OTEL_DJANGO_API_ROUTES).",
                    Query(rate("django_api_requests_total", by="http_route"), "{{http_route}}"),
                    unit="reqps",
                    width=12,
                ),
                graph(
                    "Active clients",
                    "Different clients within each window.",
                    Query(
                        'max by (django_api_window) (django_api_active_clients{job=~"$job"})',
                        "{{django_api_window}}",
                    ),
                    unit="none",
                    width=12,
                ),
            ),
        ),
    ),
)
