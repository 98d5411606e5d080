"""Clients, metrics, spans and log lines count the same requests and tasks."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.integration.shop_kit import BAD_CARD, GOOD_CARD, Counts, Shop, Visitor, shop, wait_for

VISITORS = 4
ROUNDS = 6
ROUTE = "http.route"
STATUS = "http.response.status_code"
PROBES = {"/metrics", "/monitoring/metrics/"}


def visit(port: int) -> Visitor:
    visitor = Visitor(port)
    for _ in range(ROUNDS):
        visitor.look_around()
        visitor.buy(GOOD_CARD)
    visitor.buy(BAD_CARD)
    visitor.ask("/search/", "/search/?q=teapot")
    return visitor


def visitors(port: int) -> Counts:
    with ThreadPoolExecutor(VISITORS) as pool:
        come = list(pool.map(visit, [port] * VISITORS))
    assert [visitor.unanswered for visitor in come] == [0] * VISITORS
    return sum((visitor.counts for visitor in come), Counter())


def but_probes(counts: Counts) -> Counts:
    return Counter({key: n for key, n in counts.items() if key[0] not in PROBES})


def by_spans(running: Shop, kind: int, *keys: str) -> Counts:
    return Counter(
        tuple(str(span["attributes"].get(key, "")) for key in keys)
        for span in running.collector.spans()
        if span["kind"] == kind
    )


def test_requests_and_tasks_are_the_same_numbers_wherever_they_are_counted(tmp_path: Path) -> None:
    with shop(tmp_path, "--workers", "4", "--max-requests", "50") as running:
        by_client = visitors(running.server.port)
        assert by_client["/checkout/", "302"] == VISITORS * ROUNDS
        assert by_client["/checkout/", "500"] == VISITORS
        wait_for(lambda: sum(by_spans(running, 2, ROUTE).values()) >= by_client.total())

        def is_measured() -> bool:
            found = running.counted(
                "http_server_request_duration_seconds_count",
                "http_route",
                "http_response_status_code",
            )
            return but_probes(found) == by_client

        wait_for(is_measured)
        assert (
            but_probes(running.counted("django_http_requests_total", "endpoint", "status"))
            == by_client
        )
        assert by_spans(running, 2, ROUTE, STATUS) == by_client
        for told in (running.lines("request.finished"), running.records("request.finished")):
            assert Counter((one.get(ROUTE, ""), str(one[STATUS])) for one in told) == by_client
