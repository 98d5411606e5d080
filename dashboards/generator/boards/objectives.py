"""Service level objectives: what is promised, what is left of the error budget."""

from dashboards.generator.board import Board
from dashboards.generator.panels import graph, number
from dashboards.generator.queries import Query, rate, select
from dashboards.generator.shared import FAILED, REQUEST_COUNT, REQUESTS, failed_share

ALLOWED = "(1 - $objective / 100)"

BOARD = Board(
    "objectives",
    "Django: objectives",
    "Availability against its objective: what is left of the budget, how fast it burns.",
    (
        (
            "Availability",
            (
                number(
                    "Availability, 30 days",
                    "The share of requests that aren't answered with 5xx.",
                    f"1 - {failed_share('30d')}",
                    unit="percentunit",
                    width=6,
                    decimals=3,
                ),
                number(
                    "Budget left, 30 days",
                    "Of what may fail by the objective; below 0 it is missed.",
                    f"1 - ({failed_share('30d')}) / {ALLOWED}",
                    unit="percentunit",
                    levels=(0.25, 0),
                    width=6,
                    runbook="SloBurnTicket",
                ),
                number(
                    "Burn rate, 1 h",
                    "1 uses the budget up in exactly 30 days; 14.4 in two.",
                    f"({failed_share('1h')}) / {ALLOWED}",
                    unit="none",
                    levels=(6, 14.4),
                    width=6,
                    decimals=1,
                    runbook="SloBurnFast",
                ),
                number(
                    "Requests, 30 days",
                    "What the shares are of.",
                    f"sum (increase({select(REQUEST_COUNT)}[30d]))",
                    unit="short",
                    width=6,
                ),
            ),
        ),
        (
            "Over time",
            (
                graph(
                    "Burn rate",
                    "Over five minutes, an hour and six hours; alerts fire above the lines.",
                    Query(f"({failed_share('5m')}) / {ALLOWED}", "5 min"),
                    Query(f"({failed_share('1h')}) / {ALLOWED}", "1 h"),
                    Query(f"({failed_share('6h')}) / {ALLOWED}", "6 h"),
                    unit="none",
                    width=12,
                    levels=(6, 14.4),
                    runbook="SloBurnFast",
                ),
                graph(
                    "Failed requests",
                    "A second, by route.",
                    Query(rate(REQUEST_COUNT, FAILED, by="http_route"), "{{http_route}}"),
                    unit="reqps",
                    width=12,
                    stacked=True,
                ),
                graph(
                    "Faster than a second",
                    "The share of requests.",
                    Query(
                        rate(
                            f"{REQUESTS}_bucket",
                            'le=~"1|1.0"',
                            by="job",
                        )
                        + f" / ({rate(REQUEST_COUNT, by='job')} > 0)",
                        "{{job}}",
                    ),
                    unit="percentunit",
                    most=1,
                    width=12,
                ),
                graph(
                    "Failed, by service",
                    "The share of requests, from the recorded rule.",
                    Query('job:http_server_errors:ratio_rate5m{job=~"$job"}', "{{job}}"),
                    unit="percentunit",
                    width=12,
                    runbook="HighErrorRate",
                ),
            ),
        ),
    ),
    variables=("objective",),
    since="now-24h",
)
