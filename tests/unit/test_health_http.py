"""The check of services that the site depends on, at real HTTP servers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest

from otel_django.conf import Settings
from otel_django.conf.limits import DEFAULTS, Limit
from otel_django.health.check import Registered
from otel_django.health.checks import http
from otel_django.health.checks.http import named
from otel_django.health.results import Result
from tests.misbehaving import closed_port, hanging, proxy, slow
from tests.tls_kit import Authority

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HUGE = 1 << 30


class Handler(BaseHTTPRequestHandler):
    """``/500`` answers so, ``/huge`` says that very much follows."""

    server: Service

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        number = self.path.partition("?")[0].strip("/")
        self.send_response(int(number) if number.isdigit() else 200)
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_address[1]}/other")
        self.send_header("Content-Length", str(HUGE if number == "huge" else 0))
        self.end_headers()
        if number == "huge":
            self.wfile.write(bytes(100_000))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing."""


class Service(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 50

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.port = self.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def handle_error(self, *_: Any) -> None:
        """A client that reads no more."""


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as one:
        thread = threading.Thread(target=one.serve_forever, args=(0.05,))
        thread.start()
        yield one
        one.shutdown()
        thread.join()


def check(*urls: str, **settings: Any) -> Registered:
    (found,) = http.checks(Settings(health_urls=urls, **settings))
    return found


def look(*urls: str, **settings: Any) -> list[Result]:
    return cast("list[Result]", check(*urls, **settings).run())


def only(url: str, **settings: Any) -> Result:
    (result,) = look(url, **settings)
    return result


def test_a_service_that_answers_is_healthy(service: Service) -> None:
    result = only(f"payments={service.url}/ping?deep=1")
    assert (result.status, result.instance, result.message) == ("healthy", "payments", "")
    assert result.observed["status_code"] == 200
    ((path, headers),) = service.asked
    assert path == "/ping?deep=1"
    assert headers["User-Agent"].startswith("otel-django/")
    assert headers["Connection"] == "close"
    assert "Content-Type" not in headers


def test_without_services_there_is_nothing_to_check() -> None:
    assert not check().is_possible()
    assert check("http://127.0.0.1/").is_possible()


def test_readiness_asks_it_and_goes_on_without() -> None:
    assert check("http://127.0.0.1/").groups == {"ready"}
    assert not check("http://127.0.0.1/").critical


@pytest.mark.parametrize("status", [204, 302, 399])
def test_up_to_399_is_healthy_and_no_redirect_is_followed(service: Service, status: int) -> None:
    assert only(f"{service.url}/{status}").status == "healthy"
    assert len(service.asked) == 1


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_from_400_on_it_is_unhealthy(service: Service, status: int) -> None:
    result = only(f"{service.url}/{status}")
    assert (result.status, result.message) == ("unhealthy", f"It answered with status {status}.")


def test_credentials_are_sent_and_shown_nowhere(service: Service) -> None:
    url = f"http://user%40x:pass-secret@127.0.0.1:{service.port}/500?key=query-secret"
    result = only(url)
    assert result.instance == f"127.0.0.1:{service.port}"
    assert "secret" not in repr(result)
    assert "user" not in repr(result)
    assert service.asked[0][1]["authorization"] == "Basic dXNlckB4OnBhc3Mtc2VjcmV0"


def test_of_a_huge_answer_only_the_beginning_is_read(service: Service) -> None:
    with proxy(service.port) as between:
        assert only(f"http://127.0.0.1:{between.port}/huge").status == "healthy"
        between.wait_until(lambda one: not one.open)


def test_names_tell_services_of_one_host_apart() -> None:
    assert named(("a=http://h/x", "http://h/y", "http://h/z?q=1", "http://u:p@i/")) == {
        "a": "http://h/x",
        "h": "http://h/y",
        "h/z": "http://h/z?q=1",
        "i": "http://u:p@i/",
    }


def test_services_are_asked_at_the_same_time_and_each_for_itself(service: Service) -> None:
    threads = threading.active_count()
    with hanging() as one, hanging() as two, proxy(service.port) as late:
        late.delay(0.05)
        results = look(
            f"hangs=http://127.0.0.1:{one.port}/",
            f"hangs_too=http://127.0.0.1:{two.port}/",
            f"gone=http://127.0.0.1:{closed_port()}/",
            f"late=http://127.0.0.1:{late.port}/",
            health_timeout_s=0.5,
        )
        assert [(result.instance, result.message) for result in results] == [
            ("hangs", "It did not answer in time."),
            ("hangs_too", "It did not answer in time."),
            ("gone", "Nothing listens there."),
            ("late", ""),
        ]
        for each in (one, two, late):
            assert each.connections == 1
            each.wait_until(lambda one: not one.open)
    assert threading.active_count() <= threads


def test_a_slow_service_is_degraded_and_a_very_slow_one_unhealthy() -> None:
    with slow(OK, delay_s=0.06) as service:
        url = f"http://127.0.0.1:{service.port}/"
        for limit, status in ((Limit(50, 5000), "degraded"), (Limit(20, 50), "unhealthy")):
            result = only(url, health_limits={**DEFAULTS, "http_ms": limit})
            assert result.status == status
            assert "ms to answer" in result.message


def test_the_time_out_is_that_of_the_whole_exchange() -> None:
    with slow(OK, byte_every_s=0.05) as service:
        result = only(f"http://127.0.0.1:{service.port}/", health_timeout_s=0.5)
        assert result.message == "It did not answer in time."
        service.wait_until(lambda one: not one.open)


def test_a_cut_connection_and_nonsense_are_unhealthy(service: Service) -> None:
    with proxy(service.port) as between, slow(b"SSH-2.0-x\r\n\r\n") as other:
        between.cut()
        for port in (between.port, other.port):
            assert only(f"http://127.0.0.1:{port}/").status == "unhealthy"


def test_tls_is_verified(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    service.socket = authority.server().wrap_socket(service.socket, server_side=True)
    url = f"https://127.0.0.1:{service.port}/"
    assert only(url).message == "No TLS connection could be made."
    authority.trusted(monkeypatch)
    assert only(url).status == "healthy"


def test_the_environments_proxy_is_used(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", service.url)
    assert only("http://pay.example/ping").status == "healthy"
    assert service.asked[0][0] == "http://pay.example/ping"
