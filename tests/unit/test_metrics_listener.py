"""The listener of workers."""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from otel_django.clock import SYSTEM_CLOCK
from otel_django.metrics import active
from otel_django.web.access import Access
from otel_django.web.metrics_answer import MetricsEndpoint
from otel_django.web.metrics_listener import MetricsListener
from tests.prometheus_kit import metric, number, role
from tests.requests_kit import settings
from tests.stub_collector_process import free_port
from tests.unit.test_metrics_endpoints import Sums, host


def listener(port: int, address: str = "127.0.0.1", **ours: Any) -> MetricsListener:
    chosen = settings(**ours)
    endpoint = MetricsEndpoint(chosen, Access.to_metrics(chosen), SYSTEM_CLOCK)
    return MetricsListener(address, port, endpoint, retry_s=0.05)


@contextlib.contextmanager
def listening(port: int, **ours: Any) -> Iterator[MetricsListener]:
    with host(Sums(role(metric("orders.placed", "counter", number(3))))):
        made = listener(port, **ours)
        made.start()
        try:
            yield made
        finally:
            made.close()


def ask(
    port: int, path: str = "/metrics", method: str = "GET", **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Once something listens."""
    deadline = time.monotonic() + 10
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        finally:
            connection.close()


@pytest.fixture
def port() -> int:
    return free_port()


def test_a_scrape(port: int) -> None:
    with listening(port):
        status, headers, body = ask(port)
        assert status == 200
        assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert b"orders_placed_total 3\n" in body
        assert ask(port, Accept="application/openmetrics-text")[2].endswith(b"# EOF\n")
        status, headers, empty = ask(port, method="HEAD")
        assert (status, headers["Content-Length"], empty) == (200, str(len(body)), b"")
        assert ask(port, "/api/v1/metrics?format=json")[1]["Content-Type"] == "application/json"
        assert ask(port, "/")[0] == 404
        assert ask(port, method="POST")[0] == 405


def test_who_may_not_read_is_refused(port: int) -> None:
    with listening(port, metrics_access="none", tokens=("sesame",)):
        assert ask(port)[0] == 401
        assert ask(port, Authorization="Bearer sesame")[0] == 200


def test_the_port_is_free_after_the_end(port: int) -> None:
    for _ in range(2):
        with listening(port):
            assert ask(port)[0] == 200
    active.activate(None, None)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_port_in_use_is_said_once_and_taken_when_it_is_free(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with listening(port):
        assert ask(port)[0] == 200
        second = listener(port)
        second.start()
        time.sleep(0.3)
        assert len(caplog.records) == 1
        assert "something else listens there" in caplog.text
    try:
        assert ask(port)[0] == 503  # the second one; there are no metrics any more
    finally:
        second.close()


def test_a_forked_child_lets_go_of_the_port(port: int) -> None:
    made = listener(port)
    with listening(port):
        assert ask(port)[0] == 200
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(write)
            os.read(read, 1)
            os._exit(0)
        os.close(read)
    try:
        made.start()
        assert ask(port)[0] == 503
    finally:
        os.close(write)
        os.waitpid(child, 0)
        made.close()


def test_clients_that_never_end_what_they_say_keep_nobody_waiting(port: int) -> None:
    with listening(port), contextlib.ExitStack() as slow:
        assert ask(port)[0] == 200
        for _ in range(12):
            connection = slow.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.sendall(b"GET /metr")
        assert ask(port)[0] == 200


def test_clients_that_say_nothing_keep_nobody_waiting(port: int) -> None:
    with listening(port), contextlib.ExitStack() as silent:
        assert ask(port)[0] == 200
        for _ in range(6):  # one place for the next, one for what ends with the first
            silent.enter_context(socket.create_connection(("127.0.0.1", port)))
        for nonsense in (b"\n", b"GET\n\n", b"\x16\x03\x01", b"GET /metrics HTTP/9\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(nonsense)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1000):
                    pass
        assert ask(port)[0] == 200
