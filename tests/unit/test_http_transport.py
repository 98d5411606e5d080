"""OTLP over real sockets, with peers that behave and peers that don't."""

from __future__ import annotations

import gzip
import os
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from otel_django.errors import TransportError
from otel_django.pipeline.http_transport import USER_AGENT
from otel_django.pipeline.retry import Outcome
from tests.peers import OK, answer_all, peer, read_request
from tests.transport_kit import fails_slowly, post, transport

if TYPE_CHECKING:
    pass


def test_requests_share_one_connection() -> None:
    with peer(answer_all) as receiver:
        one = transport(receiver.endpoint)
        for _ in range(3):
            assert post(one).status == 200
        one.close()
        assert receiver.connections == 1


def test_the_request_is_as_the_specification_wants_it() -> None:
    seen = []

    def handle(connection: socket.socket) -> None:
        seen.append(read_request(connection))
        connection.sendall(OK)

    with peer(handle) as receiver:
        one = transport(
            receiver.endpoint + "?tenant=a",
            headers={"x-token": "t", "content-length": "1", "user-agent": "mine"},
            compression="gzip",
        )
        post(one, b"x" * 1000)
        one.close()
    head, body = seen[0]
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    assert first == "POST /v1/traces?tenant=a HTTP/1.1"
    assert headers.pop("content-length") == str(len(body))
    assert headers == {
        "host": f"127.0.0.1:{receiver.port}",
        "user-agent": "mine",
        "x-token": "t",
        "content-type": "application/x-protobuf",
        "content-encoding": "gzip",
    }
    assert gzip.decompress(body) == b"x" * 1000
    assert USER_AGENT.startswith("otel-django/")


def test_a_large_body_arrives_whole() -> None:
    sizes = []

    def handle(connection: socket.socket) -> None:
        sizes.append(len(read_request(connection)[1]))
        connection.sendall(OK)

    with peer(handle) as receiver:
        one = transport(receiver.endpoint)
        post(one, bytes(8_000_000))
        one.close()
    assert sizes == [8_000_000]


def test_a_kept_connection_that_the_peer_closed_is_replaced_at_once() -> None:
    def handle(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(OK)

    with peer(handle) as receiver:
        one = transport(receiver.endpoint)
        post(one)
        time.sleep(0.05)
        post(one)
        one.close()
        assert receiver.connections == 2


def test_a_kept_connection_that_breaks_with_the_request_is_replaced_once() -> None:
    requests: list[int] = []

    def handle(connection: socket.socket) -> None:
        read_request(connection)
        requests.append(1)
        if len(requests) != 2:
            connection.sendall(OK)
            read_request(connection)
            requests.append(1)

    with peer(handle) as receiver:
        one = transport(receiver.endpoint)
        assert post(one).status == 200
        assert post(one).status == 200  # its first connection closes without an answer
        one.close()
        assert receiver.connections == 2


def test_a_fresh_connection_that_breaks_is_an_error_at_once() -> None:
    with peer(lambda connection: None) as receiver:
        one = transport(receiver.endpoint)
        with pytest.raises(TransportError):
            post(one)
        assert receiver.connections == 1


def test_half_an_answer_is_no_answer_and_not_tried_again() -> None:
    def handle(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(OK)
        read_request(connection)
        connection.sendall(OK[:20])

    with peer(handle) as receiver:
        one = transport(receiver.endpoint)
        post(one)
        with pytest.raises(TransportError, match="closed before"):
            post(one)
        assert receiver.connections == 1


def test_an_answer_before_the_body_was_read_counts() -> None:
    def handle(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        time.sleep(0.2)

    with peer(handle) as receiver:
        one = transport(receiver.endpoint)
        assert post(one, bytes(30_000_000)).status == 413
        one.close()


def test_a_peer_that_never_answers_costs_the_time_out_in_slices() -> None:
    with peer(lambda connection: time.sleep(1.5)) as receiver:
        assert fails_slowly(transport(receiver.endpoint)) == ("timed out waiting for the answer")


def test_a_peer_that_never_reads_costs_the_time_out_in_slices() -> None:
    with peer(lambda connection: time.sleep(1.5)) as receiver:
        assert fails_slowly(transport(receiver.endpoint), bytes(30_000_000)) == (
            "timed out sending"
        )


def test_a_peer_that_dribbles_costs_the_time_out_in_slices() -> None:
    def handle(connection: socket.socket) -> None:
        read_request(connection)
        for byte in OK:
            connection.sendall(bytes([byte]))
            time.sleep(0.03)

    with peer(handle) as receiver:
        fails_slowly(transport(receiver.endpoint))


def test_a_peer_that_never_accepts_costs_the_time_out_in_slices() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        where = listener.getsockname()
        fillers = []
        for _ in range(3):  # nobody accepts: soon the kernel drops what knocks
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(where)
            fillers.append(filler)
        endpoint = f"http://127.0.0.1:{where[1]}/"
        assert fails_slowly(transport(endpoint)).startswith("timed out")
        for filler in fillers:
            filler.close()


def test_a_hanging_resolver_costs_the_time_out_in_slices_and_one_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = threading.Event()

    def hang(*_: object, **__: object) -> list[Any]:
        release.wait(10)
        return []

    one = transport("http://collector.example:4318/")
    monkeypatch.setattr(socket, "getaddrinfo", hang)
    before = set(threading.enumerate())
    assert fails_slowly(one) == "timed out looking up collector.example"
    fails_slowly(one, timeout_s=0.5)
    assert len(set(threading.enumerate()) - before) == 1
    release.set()


def test_a_name_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(TransportError, match="can't look up"):
        post(transport("http://does-not-exist.invalid:4318/"))


def test_a_name_is_looked_up_before_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    with peer(answer_all) as receiver:
        found = socket.getaddrinfo("127.0.0.1", receiver.port, type=socket.SOCK_STREAM)
        one = transport(f"http://collector.example:{receiver.port}/")
        unprepared = transport("http://other.example:4318/")
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        one.prepare()

        start = threading.Thread.start

        def no_resolver(self: threading.Thread) -> None:
            if self.name == "otel_django-resolver":
                raise RuntimeError("can't create new thread at interpreter shutdown")
            start(self)

        monkeypatch.setattr(threading.Thread, "start", no_resolver)
        assert post(one).status == 200
        one.close()
        with pytest.raises(TransportError, match="at exit"):
            post(unprepared)


def test_a_refused_connection_is_an_error_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    started_s = time.monotonic()
    with pytest.raises(TransportError, match="refused"):
        post(transport(f"http://127.0.0.1:{port}/"))
    assert time.monotonic() - started_s < 0.5


def test_localhost_finds_a_receiver_on_either_loopback_address() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                read_request(connection)
                connection.sendall(OK)

        thread = threading.Thread(target=serve)
        thread.start()
        one = transport(f"http://localhost:{listener.getsockname()[1]}/")
        assert post(one).status == 200
        one.close()
        thread.join()


def test_what_on_wait_raises_ends_the_request_and_its_connection() -> None:
    class Enough(Exception):
        pass

    def enough() -> None:
        raise Enough

    with peer(lambda connection: time.sleep(0.5)) as receiver:
        one = transport(receiver.endpoint)
        with pytest.raises(Enough):
            one.post(b"body", time.monotonic() + 5, enough)
        assert one._stream is None


def test_a_peer_that_speaks_no_http_is_an_error() -> None:
    with (
        peer(lambda connection: connection.sendall(b"SSH-2.0-x\r\n")) as receiver,
        pytest.raises(TransportError, match=r"isn't HTTP/1\.1|connection failed"),
    ):
        post(transport(receiver.endpoint))


def test_a_forked_child_does_not_disturb_the_parents_connection() -> None:
    script = """
import os, sys, time
from otel_django.conf import OtlpSettings
from otel_django.pipeline.http_transport import HttpTransport
one = HttpTransport(OtlpSettings(endpoint=sys.argv[1], certificate=sys.argv[2] or None))
def post():
    return one.post(b"body", time.monotonic() + 5, lambda: None).status
post()
pid = os.fork()
if pid == 0:
    one.after_fork()
    os._exit(0 if post() == 200 else 1)
status = os.waitpid(pid, 0)[1]
print(status, post(), one._stream is not None)
one.close()
"""
    with peer(answer_all) as receiver:
        found = subprocess.run(
            [sys.executable, "-c", script, receiver.endpoint, ""],
            capture_output=True,
            text=True,
            check=True,
        )
        assert found.stdout.split() == ["0", "200", "True"]
        assert receiver.connections == 2


# --- proxies


def test_http_goes_through_a_proxy_in_absolute_form() -> None:
    heads = []

    def handle(connection: socket.socket) -> None:
        heads.append(read_request(connection)[0])
        connection.sendall(OK)

    with peer(handle) as proxy:
        one = transport(
            "http://collector.example:4318/v1/traces", proxy=f"http://me:pw@127.0.0.1:{proxy.port}"
        )
        assert post(one).status == 200
        one.close()
    assert heads[0].startswith(b"POST http://collector.example:4318/v1/traces HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic bWU6cHc=" in heads[0]


# --- what comes with it


def test_an_answer_is_judged() -> None:
    with peer(answer_all) as receiver:
        one = transport(receiver.endpoint)
        verdict = one.send(b"body", time.monotonic() + 5, lambda: None)
        one.close()
    assert verdict.outcome is Outcome.DELIVERED


def test_the_destination_names_no_secret() -> None:
    one = transport("https://collector.example/v1/traces?api-key=hush")
    assert one.destination == "https://collector.example/v1/traces"


def test_no_http_library_is_imported() -> None:
    script = """
import sys
import otel_django.pipeline.http_transport, otel_django.pipeline.sender
from otel_django.pipeline import spool
heavy = {"urllib3", "requests", "http.client", "ssl", "gzip", "grpc", "email"}
print(sorted(heavy & set(sys.modules)))
"""
    environ = {name: os.environ[name] for name in os.environ if name != "DJANGO_SETTINGS_MODULE"}
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environ
    )
    assert found.stdout.strip() == "[]"


def test_a_connection_to_itself_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mirror(socket.socket):
        def connect_ex(self, address: Any) -> int:
            self.bind(address)
            return super().connect_ex(address)

    monkeypatch.setattr(socket, "socket", Mirror)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(TransportError, match=r"refused|itself"):
        post(transport(f"http://127.0.0.1:{port}/"))
