"""OTLP over TLS: who vouches for whom, and handshakes that hang."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from otel_django.errors import TransportError
from tests.peers import Peer, answer_all, peer
from tests.transport_kit import fails_slowly, post, transport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """server.pem and client.pem, each with its key, signed by nobody but themselves."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("server", "client"):
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
        command += f" -subj /CN={name} -addext subjectAltName=IP:127.0.0.1"
        command += f" -keyout {name}.key -out {name}.pem"
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder


def tls_server(certificates: Path, *, ask_client: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    if ask_client:
        context.load_verify_locations(certificates / "client.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.fixture
def tls_receiver(certificates: Path) -> Iterator[Peer]:
    context = tls_server(certificates)

    def handle(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            answer_all(secure)

    with peer(handle) as receiver:
        receiver.endpoint = receiver.endpoint.replace("http", "https")
        yield receiver


def test_tls_carries_many_requests_on_one_connection(
    certificates: Path, tls_receiver: Peer
) -> None:
    one = transport(tls_receiver.endpoint, certificate=str(certificates / "server.pem"))
    assert [post(one, body).status for body in (b"small", bytes(5_000_000))] == [200, 200]
    one.close()
    assert tls_receiver.connections == 1


def test_tls_refuses_a_certificate_nobody_vouches_for(tls_receiver: Peer) -> None:
    with pytest.raises(TransportError, match=r"certificate verify failed|CERTIFICATE_VERIFY"):
        post(transport(tls_receiver.endpoint))


def test_tls_refuses_another_hosts_certificate(certificates: Path, tls_receiver: Peer) -> None:
    one = transport(
        tls_receiver.endpoint.replace("127.0.0.1", "localhost"),
        certificate=str(certificates / "server.pem"),
    )
    with pytest.raises(TransportError):
        post(one)


def test_tls_shows_a_client_certificate(certificates: Path) -> None:
    context = tls_server(certificates, ask_client=True)

    def handle(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            answer_all(secure)

    with peer(handle) as receiver:
        endpoint = receiver.endpoint.replace("http", "https")
        server = str(certificates / "server.pem")
        one = transport(
            endpoint,
            certificate=server,
            client_certificate=str(certificates / "client.pem"),
            client_key=str(certificates / "client.key"),
        )
        assert post(one).status == 200
        one.close()
        with pytest.raises(TransportError):
            post(transport(endpoint, certificate=server))


def test_tls_that_hangs_in_the_handshake_costs_the_time_out_in_slices(certificates: Path) -> None:
    with peer(lambda connection: time.sleep(1.5)) as receiver:
        one = transport(
            receiver.endpoint.replace("http", "https"),
            certificate=str(certificates / "server.pem"),
        )
        assert fails_slowly(one) == "timed out in the TLS handshake"


def test_tls_goes_through_a_proxy_by_connect(certificates: Path, tls_receiver: Peer) -> None:
    asked = []

    def handle(connection: socket.socket) -> None:
        asked.append(connection.recv(65_536))
        connection.sendall(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n")
        with socket.create_connection(("127.0.0.1", tls_receiver.port)) as behind:
            back = threading.Thread(target=pump, args=(behind, connection), daemon=True)
            back.start()
            pump(connection, behind)

    with peer(handle) as proxy:
        one = transport(
            tls_receiver.endpoint,
            certificate=str(certificates / "server.pem"),
            proxy=f"http://127.0.0.1:{proxy.port}",
        )
        assert [post(one).status for _ in range(2)] == [200, 200]
        one.close()
        assert asked[0].startswith(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n" % tls_receiver.port)


def pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


def test_a_proxy_that_refuses_is_an_error(tls_receiver: Peer) -> None:
    def handle(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")

    with peer(handle) as proxy, pytest.raises(TransportError, match=r"refused.*407"):
        post(transport(tls_receiver.endpoint, proxy=f"http://127.0.0.1:{proxy.port}"))


def test_a_certificate_file_that_is_missing_is_an_error_that_names_the_trouble(
    tls_receiver: Peer,
) -> None:
    one = transport(tls_receiver.endpoint, certificate="/does/not/exist.pem")
    with pytest.raises(TransportError, match="certificate or key file"):
        post(one)
