"""The check of certificates, at real TLS servers and of real files."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from otel_django.conf import Settings
from otel_django.health.certificate_dates import validity
from otel_django.health.check import Registered
from otel_django.health.checks import certificate
from otel_django.health.results import Result
from tests.misbehaving import closed_port, hanging, proxy
from tests.peers import Peer, peer
from tests.tls_kit import Authority, self_signed


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    made = Authority(tmp_path)
    made.trusted(monkeypatch)
    return made


Serve = Callable[[ssl.SSLContext], Peer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    running = []

    def begin(context: ssl.SSLContext) -> Peer:
        def handle(connection: socket.socket) -> None:
            with context.wrap_socket(connection, server_side=True) as secure:
                secure.recv(1)

        opened = peer(handle)
        running.append(opened)
        return opened.__enter__()

    yield begin
    for each in running:
        each.__exit__(None, None, None)


def check(*places: str, **settings: Any) -> Registered:
    (found,) = certificate.checks(Settings(health_certificates=places, **settings))
    return found


def look(*places: str, **settings: Any) -> list[Result]:
    return cast("list[Result]", check(*places, **settings).run())


def only(place: str, **settings: Any) -> Result:
    (result,) = look(place, **settings)
    return result


def test_a_certificate_with_time_left_is_healthy(authority: Authority, serve: Serve) -> None:
    server = serve(authority.server())
    result = only(f"127.0.0.1:{server.port}")
    assert (result.status, result.message) == ("healthy", "")
    assert result.observed["days_left"] == pytest.approx(90, abs=0.1)
    assert result.instance == f"127.0.0.1:{server.port}"
    assert server.connections == 1


@pytest.mark.parametrize(
    ("days_left", "status", "message"),
    [
        (10.2, "degraded", "It expires in 10 days."),
        (2.6, "unhealthy", "It expires in 3 days."),
        (0.51, "unhealthy", "It expires in 12 hours."),
        (-5.1, "unhealthy", "It expired 5 days ago."),
    ],
)
def test_the_fewer_days_are_left_the_worse(
    authority: Authority, serve: Serve, days_left: float, status: str, message: str
) -> None:
    server = serve(authority.server(days_left=days_left))
    result = only(f"localhost:{server.port}")
    assert (result.status, result.message) == (status, message)
    assert result.observed["days_left"] == pytest.approx(days_left, abs=0.1)


def test_another_hosts_certificate_is_told_apart(authority: Authority, serve: Serve) -> None:
    server = serve(authority.server("shop.example"))
    assert only(f"localhost:{server.port}").message == "It is another host's."
    assert only(f"127.0.0.1:{server.port}").message == "It is another address's."


def test_a_self_signed_one_is_told_apart(authority: Authority, serve: Serve) -> None:
    result = only(f"127.0.0.1:{serve(self_signed()).port}")
    assert (result.status, result.message) == ("unhealthy", "It is self-signed.")


def test_one_of_an_unknown_authority_is_told_apart(tmp_path: Path, serve: Serve) -> None:
    stranger = Authority(tmp_path)
    result = only(f"127.0.0.1:{serve(stranger.server()).port}")
    assert result.status == "unhealthy"
    assert "an authority that this host doesn't know" in result.message
    assert result.observed["days_left"] == pytest.approx(90, abs=0.1)


def test_files_are_looked_at_with_all_their_certificates(
    authority: Authority, tmp_path: Path
) -> None:
    chain = tmp_path / "chain.pem"
    parts = [authority.issue(days_left=days) for days in (60, 5, 90)]
    key = parts[0].private_key_pem.bytes()
    chain.write_bytes(key + b"".join(part.cert_chain_pems[0].bytes() for part in parts))
    result = only(str(chain))
    assert (result.status, result.message) == ("degraded", "It expires in 5 days.")
    assert result.instance == str(chain)


def test_files_without_a_certificate_say_so(tmp_path: Path) -> None:
    damaged = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    for name, text in (("key.pem", "nothing"), ("damaged.pem", damaged)):
        (tmp_path / name).write_text(text)
    places = [str(tmp_path / name) for name in ("key.pem", "damaged.pem", "missing.pem")]
    assert [result.message for result in look(*places)] == [
        "There is no certificate in the file (PEM).",
        "The file is damaged.",
        "The file can't be read: No such file or directory.",
    ]


def test_servers_that_are_gone_hang_or_speak_no_tls_cost_the_time_out_at_most(
    authority: Authority, serve: Serve
) -> None:
    threads = threading.active_count()
    good = serve(authority.server())
    with hanging() as silent, proxy(good.port) as late:
        late.delay(0.05)
        results = look(
            f"127.0.0.1:{silent.port}",
            f"127.0.0.1:{closed_port()}",
            f"127.0.0.1:{late.port}",
            health_timeout_s=0.5,
        )
        assert [result.message for result in results] == [
            "It did not answer in time.",
            "Nothing listens there.",
            "",
        ]
        for each in (silent, late):
            each.wait_until(lambda one: not one.open)
    assert threading.active_count() <= threads + 2  # the server's own


def test_dates_of_the_next_half_century_are_read(authority: Authority) -> None:
    far = authority.issue(days_left=365 * 40)
    begin, end = validity(ssl.PEM_cert_to_DER_cert(far.cert_chain_pems[0].bytes().decode()))
    assert begin.year < 2050 < end.year


@pytest.mark.parametrize("data", [b"", b"0", b"0\x80", b"\x30\x03\x02\x01\x05", bytes(50)])
def test_what_is_no_certificate_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no certificate"):
        validity(data)


def test_a_good_one_is_asked_for_once_and_any_other_at_each_look(
    authority: Authority, serve: Serve
) -> None:
    good, bad = serve(authority.server(days_left=10)), serve(self_signed())
    one = check(f"127.0.0.1:{good.port}", f"127.0.0.1:{bad.port}")
    for _ in range(3):
        results = cast("list[Result]", one.run())
        assert [result.status for result in results] == ["degraded", "unhealthy"]
    assert good.connections == 1
    assert bad.connections == 6  # another one each time for its dates


def test_without_certificates_there_is_nothing_to_check() -> None:
    assert not check().is_possible()
    assert check("shop.example:443").is_possible()
    assert not check("shop.example:443").groups
