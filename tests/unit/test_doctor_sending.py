"""The doctor's probe at receivers of every kind, and what it says of each."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import grpc
import pytest
import trustme

from otel_django.conf import Settings
from otel_django.conf.load import load
from otel_django.doctor import clock, sending, unreached
from otel_django.doctor.probe import Probe, encoded
from otel_django.doctor.spoken import spoken_at
from tests.misbehaving import closed_port, hanging, slow
from tests.stub_collector import StubCollector
from tests.tls_kit import Authority

TIMEOUT_S = 2.0


@pytest.fixture(scope="module")
def receiver() -> Iterator[StubCollector]:
    with StubCollector(grpc=True) as running:
        yield running


@pytest.fixture
def with_tls(tmp_path: Path) -> Iterator[tuple[StubCollector, Path]]:
    """A receiver that speaks TLS, and the file of its authority."""
    issued = Authority(tmp_path).issue("localhost", "127.0.0.1")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    issued.private_key_pem.write_to_path(str(key))
    for piece in issued.cert_chain_pems:
        piece.write_to_path(str(certificate), append=True)
    with StubCollector(tls=(certificate, key)) as running:
        yield running, certificate


@pytest.fixture
def grpc_with_tls() -> Iterator[int]:
    """The port of a gRPC server that speaks TLS."""
    issued = trustme.CA().issue_cert("localhost", "127.0.0.1")
    chain = b"".join(piece.bytes() for piece in issued.cert_chain_pems)
    server = grpc.server(ThreadPoolExecutor(1))
    credentials = grpc.ssl_server_credentials([(issued.private_key_pem.bytes(), chain)])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    yield port
    server.stop(None).wait(5)


def said(**environ: str) -> Settings:
    return load(environ, {}, base_dir=None, debug=False, settings_module="shop.settings")


def sent(signal: str = "traces", **environ: str) -> sending.Sent:
    settings = said(**environ)
    probe = Probe("shop")
    return sending.send(signal, encoded(probe, signal, settings), settings, TIMEOUT_S)


def fault(**environ: str) -> tuple[str, str]:
    finding = sent(**environ).finding
    assert finding.state == "fault"
    return finding.message, finding.cure


@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
def test_a_receiver_takes_it(receiver: StubCollector, signal: str) -> None:
    finding = sent(signal, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.base_endpoint).finding
    assert finding.state == "ok"
    assert str(receiver.port) in finding.message
    body = receiver.raw_bodies(signal)[-1]
    assert b"otel" in body


def test_it_is_taken_over_grpc_too(receiver: StubCollector) -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.grpc_endpoint,
    }
    assert sent(**environ).finding.state == "ok"


def test_no_collector() -> None:
    port = closed_port()
    message, cure = fault(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
    assert message == f"Nobody listens at 127.0.0.1:{port}."
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in cure
    assert "4318" in cure


def test_the_port_of_grpc_is_asked_by_http(receiver: StubCollector) -> None:
    message, cure = fault(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.grpc_endpoint)
    assert message.endswith("speaks grpc, but is asked by http/protobuf.")
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=grpc" in cure
    assert "4318" in cure


def test_the_port_of_http_is_asked_by_grpc(receiver: StubCollector) -> None:
    message, cure = fault(
        OTEL_EXPORTER_OTLP_PROTOCOL="grpc", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.base_endpoint
    )
    assert message.endswith("speaks http/protobuf, but is asked by grpc.")
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf" in cure


def test_tls_is_asked_of_one_that_has_none(receiver: StubCollector) -> None:
    address = receiver.base_endpoint.replace("http:", "https:")
    message, cure = fault(OTEL_EXPORTER_OTLP_ENDPOINT=address)
    assert message.endswith("speaks no TLS, but is asked with it.")
    assert "http://" in cure


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_tls_is_left_out(
    with_tls: tuple[StubCollector, Path], grpc_with_tls: int, protocol: str
) -> None:
    port = grpc_with_tls if protocol == "grpc" else with_tls[0].port
    message, cure = fault(
        OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}",
    )
    assert message.endswith("speaks TLS, but is asked without it.")
    assert "https://" in cure


def test_a_certificate_of_an_unknown_authority(with_tls: tuple[StubCollector, Path]) -> None:
    running, _ = with_tls
    message, cure = fault(OTEL_EXPORTER_OTLP_ENDPOINT=f"https://localhost:{running.port}")
    assert f"The certificate at localhost:{running.port} isn't trusted" in message
    assert "OTEL_EXPORTER_OTLP_CERTIFICATE" in cure
    message, _ = fault(
        OTEL_EXPORTER_OTLP_ENDPOINT=f"https://localhost:{running.port}",
        OTEL_EXPORTER_OTLP_CERTIFICATE="/nowhere/ca.pem",
    )
    assert "a certificate or key file can't be used" in message


def test_a_certificate_that_has_expired(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    issued = authority.issue("localhost", days_left=-1)
    with (
        issued.private_key_pem.tempfile() as key,
        issued.cert_chain_pems[0].tempfile() as shown,
        StubCollector(tls=(Path(shown), Path(key))) as running,
    ):
        message, cure = fault(
            OTEL_EXPORTER_OTLP_ENDPOINT=f"https://localhost:{running.port}",
            OTEL_EXPORTER_OTLP_CERTIFICATE=str(authority.written()),
        )
    assert message == f"The certificate at localhost:{running.port} has expired."
    assert "Renew it" in cure


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_bad_token(receiver: StubCollector, protocol: str) -> None:
    receiver.set_mode("unauthorized")
    try:
        message, cure = fault(
            OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
            OTEL_EXPORTER_OTLP_ENDPOINT=(
                receiver.grpc_endpoint if protocol == "grpc" else receiver.base_endpoint
            ),
            OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20s3cr3t-t0k3n",
        )
    finally:
        receiver.set_mode("ok")
    assert "refuses our credentials" in message
    assert "OTEL_EXPORTER_OTLP_HEADERS" in cure
    assert "s3cr3t" not in message + cure


@contextlib.contextmanager
def answering(status: int, body: bytes = b"", **headers: str) -> Iterator[int]:
    """A server that answers every post so; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response_only(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.send_response_only(status)
            self.send_header("Content-Length", "0")
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_collector_has_no_pipeline_of_the_signal() -> None:
    with answering(404, b"404 page not found") as port:
        message, cure = fault(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
    assert "takes no traces" in message
    assert "pipelines: traces: receivers: [otlp]" in cure


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (302, "is no OTLP receiver"),
        (413, "HTTP 413"),
        (429, "has no room just now"),
        (503, "has no room just now"),
        (500, "doesn't answer as a receiver of OTLP does"),
    ],
)
def test_other_refusals(status: int, words: str) -> None:
    with answering(status, Location="/login") as port:
        message, cure = fault(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
    assert words in message
    assert cure


@pytest.mark.parametrize("status", [401, 429, 500])
def test_what_a_receiver_quotes_of_our_token_is_not_shown(status: int) -> None:
    said = b"bad token hush-hush-1"
    body = b"\x12" + bytes([len(said)]) + said  # google.rpc.Status
    with answering(status, body, **{"Content-Type": "application/x-protobuf"}) as port:
        finding = sent(
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}",
            OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20hush-hush-1",
        ).finding
    assert finding.state == "fault"
    assert "bad token …" in finding.message
    assert "hush" not in repr(finding)


def test_a_login_page_is_no_receiver() -> None:
    with answering(200, b"<!doctype html>", **{"Content-Type": "text/html"}) as port:
        message, _ = fault(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
    assert "is no OTLP receiver" in message


def test_a_path_that_is_no_receivers_is_told_from_a_missing_pipeline() -> None:
    with answering(404) as port:
        base = f"http://127.0.0.1:{port}"
        message, cure = fault(OTEL_EXPORTER_OTLP_ENDPOINT=f"{base}/otlp")
        assert "has no receiver below /otlp" in message
        assert "Take /otlp out of OTEL_EXPORTER_OTLP_ENDPOINT: /v1/traces" in cure
        message, cure = fault(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=base)
        assert "has no receiver at /" in message
        assert "Write /v1/traces at the end of OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" in cure


def test_a_proxy_that_refuses_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with answering(503) as port:
        monkeypatch.setenv("http_proxy", f"http://ada:hush@127.0.0.1:{port}")
        message, cure = fault(OTEL_EXPORTER_OTLP_ENDPOINT="http://collector.example:4318")
    assert f"through the proxy 127.0.0.1:{port}" in message
    assert "HTTP 503" in message
    assert "Add collector.example to no_proxy" in cure
    assert "hush" not in message + cure


def test_a_receiver_that_hangs_costs_the_time_out() -> None:
    with hanging() as server:
        began_s = time.monotonic()
        message, _ = fault(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{server.port}")
        assert time.monotonic() - began_s < TIMEOUT_S + 8 * unreached.GREETING_S
    assert "takes connections, but doesn't answer" in message


@pytest.mark.parametrize(("shift_s", "state"), [(0, "ok"), (-30, "warning"), (3600, "fault")])
def test_clocks_are_compared(shift_s: int, state: str) -> None:
    date = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=shift_s), usegmt=True)
    with answering(200, Date=date) as port:
        one = sent(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
        (finding,) = clock.compared([one.clock_ahead_s], said())
    assert finding.state == state
    assert abs(finding.observed["ahead_s"] + shift_s) < 5
    if shift_s:
        assert ("behind" if shift_s > 0 else "ahead of") in finding.message
        assert "NTP" in finding.cure


def test_without_a_date_nothing_is_said_of_clocks() -> None:
    with answering(200) as port:
        one = sent(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
    assert list(clock.compared([one.clock_ahead_s], said())) == []


def test_without_one_of_the_receiver_a_backend_is_asked() -> None:
    date = format_datetime(datetime.now(timezone.utc) - timedelta(days=3), usegmt=True)
    with answering(404, Date=date) as port:
        settings = said(OTEL_DJANGO_READ_FROM=f"loki=http://127.0.0.1:{port}")
        (finding,) = clock.compared([None], settings)
    assert finding.state == "fault"
    assert finding.message == "This machine's clock is 3 days ahead of Loki's."


def test_what_ports_speak(
    receiver: StubCollector, with_tls: tuple[StubCollector, Path], grpc_with_tls: int
) -> None:
    assert receiver.grpc_port is not None
    for port, spoken in (
        (closed_port(), "nothing"),
        (receiver.port, "http"),
        (receiver.grpc_port, "http2"),
        (with_tls[0].port, "tls"),
        (grpc_with_tls, "tls"),
    ):
        assert spoken_at("127.0.0.1", port, 1.0) == spoken, spoken


def test_where_connections_come_to_nothing_a_firewall_is_thought_of() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):  # further ones get no answer
            message, cure = fault(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
    assert message == f"No connection to 127.0.0.1:{port} comes about."
    assert "firewall" in cure


def test_somebody_who_says_nothing_or_something_else() -> None:
    with hanging() as server:
        assert spoken_at("127.0.0.1", server.port, 0.3) == "silence"
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            for _ in range(2):
                connection, _address = listener.accept()
                with connection:
                    connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
                    connection.recv(1024)

        thread = threading.Thread(target=greet)
        thread.start()
        assert spoken_at("127.0.0.1", listener.getsockname()[1], 0.5) == "other"
        thread.join(5)


def test_one_that_answers_a_byte_at_a_time_is_not_listened_to_for_long() -> None:
    began_s = time.monotonic()
    with slow(b"x" * 1000, byte_every_s=0.1) as server:
        assert spoken_at("127.0.0.1", server.port, 0.3) == "other"
    assert time.monotonic() - began_s < 60, "it was listened to until the end"
