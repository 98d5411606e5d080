"""The check of the mail server, at a real SMTP server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import django
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session
from django.test import override_settings

from otel_django.conf import Settings
from otel_django.health.check import Registered
from otel_django.health.checks import email
from otel_django.health.results import Result
from tests.misbehaving import closed_port, hanging, proxy, slow
from tests.stub_collector_process import free_port
from tests.tls_kit import Authority

SMTP = "django.core.mail.backends.smtp.EmailBackend"
PASSWORD = "correct-horse"


class Mailbox:
    """Notes what clients did; takes no mail, as nothing is to be sent."""

    def __init__(self) -> None:
        self.said: list[str] = []

    async def handle_NOOP(self, server: Any, session: Session, envelope: Envelope, arg: str) -> str:
        self.said.append("NOOP")
        return "250 OK"

    async def handle_QUIT(self, server: Any, session: Session, envelope: Envelope) -> str:
        self.said.append("QUIT")
        return "221 Bye"

    async def handle_MAIL(
        self, server: Any, session: Session, envelope: Envelope, address: str, options: Any
    ) -> str:
        self.said.append("MAIL")
        return "550 no"

    def authenticate(
        self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.said.append("AUTH")
        return AuthResult(success=data.password == PASSWORD.encode(), handled=False)


class Server(Controller):
    """Also with TLS from the first byte."""

    def __init__(self, mailbox: Mailbox, **options: Any) -> None:
        super().__init__(mailbox, hostname="127.0.0.1", port=free_port(), **options)


Started = Callable[..., Server]


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def start(mailbox: Mailbox) -> Iterator[Started]:
    running: list[Server] = []

    def begin(**options: Any) -> Server:
        server = Server(mailbox, **options)
        running.append(server)
        server.start()
        return server

    yield begin
    for server in running:
        server.stop()


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    made = Authority(tmp_path)
    made.trusted(monkeypatch)
    return made


def check(**settings: Any) -> Registered:
    (found,) = email.checks(Settings(**settings))
    return found


def mailer(**options: Any) -> dict[str, Any]:
    """The settings that Django has for it, which it has had two kinds of."""
    if django.VERSION >= (6, 1):
        return {"MAILERS": {"default": {"BACKEND": SMTP, "OPTIONS": options}}}
    names = {"username": "HOST_USER", "password": "HOST_PASSWORD"}
    named = {f"EMAIL_{names.get(key, key.upper())}": value for key, value in options.items()}
    return {"EMAIL_BACKEND": SMTP, **named}


def look(port: int, timeout_s: float = 2.0, **options: Any) -> Result:
    """What is found of the server on ``port``."""
    with override_settings(**mailer(host="127.0.0.1", port=port, **options)):
        return found(timeout_s)


def found(timeout_s: float = 2.0) -> Result:
    one = check(health_timeout_s=timeout_s)
    assert one.is_possible()
    (result,) = cast("list[Result]", one.run())
    return result


def login(password: str = PASSWORD) -> dict[str, Any]:
    return {"username": "shop-secret-user", "password": password}


def test_a_server_that_answers_is_healthy_and_sent_nothing(
    start: Started, mailbox: Mailbox
) -> None:
    result = look(start().port)
    assert (result.status, result.instance) == ("healthy", "default")
    assert result.observed["duration_ms"] > 0
    assert mailbox.said == ["NOOP", "QUIT"]


def test_tls_and_login_are_tried_as_the_settings_say(
    start: Started, mailbox: Mailbox, authority: Authority
) -> None:
    server = start(
        tls_context=authority.server(),
        require_starttls=True,
        auth_required=True,
        authenticator=mailbox.authenticate,
    )
    result = look(server.port, use_tls=True, **login())
    assert (result.status, result.message) == ("healthy", "")
    assert mailbox.said == ["AUTH", "NOOP", "QUIT"]


def test_tls_from_the_first_byte_works(start: Started, authority: Authority) -> None:
    server = start(ssl_context=authority.server())
    assert look(server.port, use_ssl=True).status == "healthy"


def test_a_wrong_password_is_told_without_the_user(
    start: Started, mailbox: Mailbox, authority: Authority
) -> None:
    server = start(tls_context=authority.server(), authenticator=mailbox.authenticate)
    result = look(server.port, use_tls=True, **login("wrong-secret"))
    assert (result.status, result.message) == (
        "unhealthy",
        "It refused the credentials (code 535).",
    )
    assert "secret" not in repr(result)


def test_a_server_without_the_tls_that_is_set_up_is_unhealthy(start: Started) -> None:
    result = look(start().port, use_tls=True)
    assert result.message == "It doesn't offer what the settings ask for (TLS or a login)."


def test_a_certificate_that_nobody_vouches_for_is_unhealthy(start: Started, tmp_path: Path) -> None:
    stranger = Authority(tmp_path)  # this process doesn't trust it
    result = look(start(tls_context=stranger.server()).port, use_tls=True)
    assert (result.status, result.message) == ("unhealthy", "No TLS connection could be made.")


def test_a_server_that_is_gone_is_unhealthy() -> None:
    result = look(closed_port())
    assert (result.status, result.message) == ("unhealthy", "Nothing listens there.")


def test_one_that_hangs_costs_the_time_out_and_keeps_no_connection() -> None:
    threads = set(threading.enumerate())
    with hanging() as server:
        result = look(server.port, timeout_s=0.4)
        assert (result.status, result.message) == ("unhealthy", "It did not answer in time.")
        server.wait_until(lambda one: not one.open)
        assert server.connections == 1
    assert set(threading.enumerate()) <= threads


def test_one_that_hangs_after_the_greeting_is_given_up_too() -> None:
    with slow(b"", delay_s=9) as silent, proxy(silent.port) as server:
        result = look(server.port, timeout_s=0.4)
        assert result.message == "It did not answer in time."
        server.wait_until(lambda one: not one.open)


def test_a_slow_one_is_healthy_as_long_as_it_is_in_time(start: Started) -> None:
    with proxy(start().port) as server:
        server.delay(0.05)
        result = look(server.port)
        assert result.status == "healthy"
        assert result.observed["duration_ms"] > 100
        server.wait_until(lambda one: not one.open)


def test_a_cut_connection_is_unhealthy(start: Started) -> None:
    with proxy(start().port) as server:
        server.cut()
        assert look(server.port).message == "It closed the connection."


def test_each_look_is_one_connection(start: Started) -> None:
    with proxy(start().port) as server:
        for _ in range(3):
            look(server.port)
        assert server.connections == 3
        server.wait_until(lambda one: not one.open)


@pytest.mark.filterwarnings("ignore:.*MAILERS")
@pytest.mark.parametrize("backend", ["console", "locmem", "dummy"])
def test_what_sends_nothing_has_nothing_to_check(backend: str) -> None:
    with override_settings(EMAIL_BACKEND=f"django.core.mail.backends.{backend}.EmailBackend"):
        assert not check().is_possible()


@pytest.mark.filterwarnings("ignore:.*MAILERS")
def test_the_settings_from_before_mailers_count(start: Started, mailbox: Mailbox) -> None:
    server = start()
    with override_settings(EMAIL_HOST="127.0.0.1", EMAIL_PORT=server.port, EMAIL_BACKEND=SMTP):
        assert found().status == "healthy"
    assert mailbox.said == ["NOOP", "QUIT"]


@pytest.mark.filterwarnings("ignore:.*MAILERS")
def test_a_mailer_that_cannot_be_made_is_unhealthy() -> None:
    with override_settings(EMAIL_BACKEND="no.such.EmailBackend"):
        assert found().message == "It failed (ModuleNotFoundError)."


def test_a_site_that_says_nothing_of_mail_has_nothing_to_check() -> None:
    assert not check().is_possible()


def test_logins_are_seldom() -> None:
    assert check().ttl_s == 60
    assert not check().groups
