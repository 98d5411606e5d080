"""The governor at a real server: telemetry that costs too much becomes less, and comes back."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable

from typing_extensions import Self

from otel_django import names
from tests.servers.serving import Server, gunicorn

PAGE = "/small-parts/60/?ms=6"
ROUTE = "/small-parts/<int:count>/"
FAILING = "/raises/"
SLOW = "/slow/"
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


def until(condition: Callable[[], bool], timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.5)


def everything_leaves(server: Server, load: Load) -> bool:
    """Whether a request that doesn't matter leaves with all its parts."""
    start_ns = time.time_ns()
    server.get(PAGE)
    load.asked[ROUTE] += 1
    time.sleep(1.0)
    leaving = [span for span in server.collector.spans() if span["start_ns"] > start_ns]
    return any(span["name"].startswith(names.MIDDLEWARE_SPAN) for span in leaving)


def probability(trace_state: str) -> float:
    threshold = trace_state.partition("th:")[2]
    return 1 - int(threshold.ljust(14, "0"), 16) / (1 << 56) if threshold else 1.0


def test_less_is_recorded_and_then_everything_again_and_nothing_that_matters_is_lost() -> None:
    with gunicorn(
        *("--worker-class", "gthread", "--threads", "3", "--keep-alive", "30"),
        OTEL_DJANGO_DETAIL="full",
        OTEL_DJANGO_SLOW_REQUEST_MS="300",
        OTEL_DJANGO_MAX_OVERHEAD="1",  # so that the machine's other work makes no difference
        OTEL_METRICS_EXPORTER="none",
        OTEL_DJANGO_LOG_FORMAT="off",  # but Python itself shows warnings
        OTEL_LOGS_EXPORTER="none",
    ) as server:
        with Load(server.port) as load:
            until(lambda: "one trace in 8 is" in server.output(), 60)
        until(lambda: everything_leaves(server, load), 90)
        server.stop()
        spans = server.collector.spans()
    roots = [span for span in spans if span["kind"] == SERVER]
    of_route = {
        route: [span for span in roots if span["attributes"].get("http.route") == route]
        for route in load.asked
    }
    assert len(of_route[FAILING]) == load.asked[FAILING]
    assert len(of_route[SLOW]) == load.asked[SLOW]
    assert len(of_route[ROUTE]) < 0.9 * load.asked[ROUTE]
    counted = sum(1 / probability(span["trace_state"]) for span in of_route[ROUTE])
    assert 0.6 < counted / load.asked[ROUTE] < 1.6
    last = max(of_route[ROUTE], key=lambda span: span["start_ns"])
    below = [span for span in spans if span["trace_id"] == last["trace_id"]]
    assert len(below) > 62  # with its parts, and those that OTEL_DJANGO_DETAIL asks for
