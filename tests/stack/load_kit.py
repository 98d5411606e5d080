"""Visitors who keep coming, and what of them has arrived where."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator

from tests.integration.shop_kit import Counts, Visitor
from tests.stack.stack_kit import Stack, wait_until

PAGES = (
    ("/brands/", "/brands/"),
    ("/api/bargains/", "/api/bargains/"),
    ("/product/<slug:slug>/", "/product/discontinued/"),
)
ROUTES = {route for route, _ in PAGES}


class Load:
    """A steady number of requests a second from several visitors, until it is stopped."""

    def __init__(self, port: int, visitors: int = 4, per_second: float = 20.0) -> None:
        self._visitors = [Visitor(port) for _ in range(visitors)]
        self._pause_s = visitors / per_second
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._come, args=(v,)) for v in self._visitors]
        self._answers: list[tuple[float, float]] = []

    def _come(self, visitor: Visitor) -> None:
        for route, path in itertools.cycle(PAGES):
            if self._over.wait(self._pause_s):
                return
            asked_s = time.monotonic()
            visitor.ask(route, path)
            self._answers.append((asked_s, time.monotonic() - asked_s))

    @contextlib.contextmanager
    def coming(self) -> Iterator[None]:
        """While the block runs; all are answered when it ends."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join()

    def counts(self) -> Counts:
        """Answers by (route, status)."""
        return sum((visitor.counts for visitor in self._visitors), Counts())

    def times_s(self, since_s: float, until_s: float) -> list[float]:
        """How long the answers took, shortest first, that were asked between two times.

        The times are of ``time.monotonic``.
        """
        answers = list(self._answers)
        return sorted(took_s for asked_s, took_s in answers if since_s <= asked_s < until_s)

    def unanswered(self) -> int:
        """Requests without an answer."""
        return sum(visitor.unanswered for visitor in self._visitors)


def ask_for(port: int, number: int, visitors: int = 4) -> Counts:
    """``number`` requests, as fast as they are answered; the answers by (route, status)."""
    each = [Visitor(port) for _ in range(visitors)]

    def come(visitor: Visitor) -> None:
        for route, path in itertools.islice(itertools.cycle(PAGES), number // visitors):
            visitor.ask(route, path)

    threads = [threading.Thread(target=come, args=(visitor,)) for visitor in each]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(visitor.unanswered for visitor in each) == 0
    return sum((visitor.counts for visitor in each), Counts())


class Arrived:
    """What a stack has of one service since ``since_s``."""

    def __init__(self, programs: Stack, service: str, since_s: float) -> None:
        self._programs = programs
        self._service = service
        self._since_s = since_s
        self._spans: dict[str, tuple[str, str]] = {}

    def wait_for(self, sent: Counts) -> None:
        """Until each of these requests is in all three, once."""
        wait_until(lambda: self.in_prometheus() == sent, 60, "the metrics")
        wait_until(lambda: self.in_loki() == sent.total(), 60, "the lines")
        wait_until(lambda: self.in_jaeger() == sent, 180, "the spans")

    def in_jaeger(self) -> Counts:
        """Server spans by (route, status); two with one id are one."""
        now_s, window_s = time.time(), 5.0
        for begin_s in itertools.takewhile(
            lambda at_s: at_s < now_s, itertools.count(self._since_s, window_s)
        ):
            for span in self._programs.jaeger.spans(self._service, begin_s, begin_s + window_s):
                tags = span["attributes"]
                if tags.get("span.kind") == "server" and tags["http.route"] in ROUTES:
                    key = str(tags["http.route"]), str(tags["http.response.status_code"])
                    self._spans[span["traceID"] + span["spanID"]] = key
        return Counter(self._spans.values())

    def in_prometheus(self) -> Counts:
        """Requests as the histogram has counted them."""
        series = f'http_server_request_duration_seconds_count{{job="{self._service}"}}'
        counts: Counts = Counts()
        for each in self._programs.prometheus.query(series):
            labels = each["metric"]
            key = labels.get("http_route", ""), labels["http_response_status_code"]
            if key[0] in ROUTES:
                counts[key] += int(each["value"])
        return counts

    def in_loki(self) -> int:
        """Lines that tell of a finished request."""
        seconds = int(time.time() - self._since_s) + 60
        selector = f'{{service_name="{self._service}"}} | http_response_status_code!=""'
        return self._programs.loki.number(f"sum(count_over_time({selector} [{seconds}s]))")
