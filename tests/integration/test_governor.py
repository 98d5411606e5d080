"""The governor at a real server: telemetry that costs too much becomes less, and comes back."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable

from typing_extensions import Self

from otel_django import names
from tests.servers.serving import Server, gunicorn

PAGE = "/small-queries/30/?ms=7"
ROUTE = "/small-queries/<int:count>/"
FAILING = "/raises/"
SLOW = "/slow/"
LIMIT = 0.05
SERVER = 2


class Load:
    """Asks for a page without a pause, and now and then for what fails or is slow."""

    def __init__(self, port: int) -> None:
        self.asked = {ROUTE: 0, FAILING: 0, SLOW: 0}
        self._port = port
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask), threading.Thread(target=self._matter)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        while not self._over.is_set():
            self._one(connection, ROUTE, PAGE)
        connection.close()

    def _matter(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        while not self._over.wait(0.5):
            self._one(connection, FAILING, FAILING)
            self._one(connection, SLOW, f"{SLOW}?s=0.4")
        connection.close()

    def _one(self, connection: http.client.HTTPConnection, route: str, path: str) -> None:
        connection.request("GET", path)
        connection.getresponse().read()
        self.asked[route] += 1


def share(server: Server) -> float | None:
    """What the server itself finds that telemetry takes."""
    answer = json.loads(server.get("/monitoring/metrics/").body)
    for resource in answer["resources"]:
        for metric in resource["metrics"]:
            if metric["name"] == "otel_django.overhead.ratio":
                (series,) = metric["series"]
                value: float = series["value"]
                return value
    return None


def until(condition: Callable[[], bool], timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.5)


def probability(trace_state: str) -> float:
    threshold = trace_state.partition("th:")[2]
    return 1 - int(threshold.ljust(14, "0"), 16) / (1 << 56) if threshold else 1.0


def test_too_much_becomes_little_enough_and_then_everything_again() -> None:
    with gunicorn(
        *("--worker-class", "gthread", "--threads", "3", "--keep-alive", "30"),
        OTEL_DJANGO_DETAIL="full",
        OTEL_DJANGO_SLOW_REQUEST_MS="300",
        OTEL_DJANGO_METRICS_ACCESS="loopback",
    ) as server:
        with Load(server.port) as load:
            until(lambda: (share(server) or 0.0) > LIMIT, 30)
            until(lambda: names.TELEMETRY_REDUCED in server.output(), 30)
            until(lambda: (share(server) or 1.0) <= LIMIT, 60)
            until(lambda: load.asked[ROUTE] > 1500, 60)
        until(lambda: "everything is recorded" in server.output(), 90)
        server.get(PAGE)
        load.asked[ROUTE] += 1
        server.stop()
        spans = server.collector.spans()
    roots = [span for span in spans if span["kind"] == SERVER]
    of_route = {
        route: [span for span in roots if span["attributes"].get("http.route") == route]
        for route in load.asked
    }
    assert len(of_route[FAILING]) == load.asked[FAILING]
    assert len(of_route[SLOW]) == load.asked[SLOW]
    assert len(of_route[ROUTE]) < 0.8 * load.asked[ROUTE]
    counted = sum(1 / probability(span["trace_state"]) for span in of_route[ROUTE])
    assert 0.6 < counted / load.asked[ROUTE] < 1.6
    last = max(of_route[ROUTE], key=lambda span: span["start_ns"])
    below = [span for span in spans if span["trace_id"] == last["trace_id"]]
    assert len(below) > 31  # with its queries, and the parts that OTEL_DJANGO_DETAIL asks for
