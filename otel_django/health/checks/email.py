"""Whether the mail server answers and lets the site in; nothing is sent."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from otel_django.health.check import Registered
from otel_django.health.failure_words import in_words
from otel_django.health.instances import IN_TIME, ask_each
from otel_django.health.results import CheckError, Result

if TYPE_CHECKING:
    from otel_django.conf import Settings

SELDOM_S: Final = 60.0
"""At most so often: providers count logins."""


def checks(settings: Settings) -> Iterator[Registered]:
    """One check, where mail leaves by SMTP; an instance a mailer."""
    check = EmailCheck(settings.health_timeout_s)
    yield Registered(
        "email",
        check.run,
        groups=frozenset(),
        ttl_s=max(settings.health_ttl_s, SELDOM_S),
        is_possible=lambda: bool(check.aliases),
    )


class EmailCheck:
    """Connects as the site would: greeting, TLS and login where they are set up, NOOP, QUIT."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s

    @functools.cached_property
    def aliases(self) -> list[str]:
        """The mailers that send by SMTP."""
        return [alias for alias in _mailers() if _is_smtp(alias)]

    def run(self) -> list[Result]:
        """Ask each server."""
        return ask_each(self.aliases, self._ask, "otel-django-health-email")

    def _ask(self, alias: str) -> Result:
        began_s = monotonic()
        backend = _backend(alias)
        backend.fail_silently = False
        patience_s = self._timeout_s * IN_TIME
        backend.timeout = min(backend.timeout or patience_s, patience_s)
        try:
            backend.open()
            code, _ = backend.connection.noop()
        except Exception as error:
            _drop(backend)
            raise CheckError(_words(error)) from error
        with contextlib.suppress(OSError):  # it has said enough
            backend.close()
        if code >= 400:
            raise CheckError(f"It answered with code {code}.")
        return Result(observed={"duration_ms": round((monotonic() - began_s) * 1000, 1)})


def _mailers() -> list[str]:
    """The aliases in MAILERS; ``default`` where the site has the settings from before Django 6.1.

    Where nothing at all is said of mail, Django's default is a server on this host that hardly
    anybody runs.
    """
    from django.conf import settings as site

    mailers = getattr(site, "MAILERS", None)
    if mailers is not None:
        return list(mailers)
    said = any(site.is_overridden(name) for name in ("EMAIL_BACKEND", "EMAIL_HOST"))
    return ["default"] if said else []


def _is_smtp(alias: str) -> bool:
    from django.core.mail.backends.smtp import EmailBackend

    try:
        return isinstance(_backend(alias), EmailBackend)
    except Exception:
        return True  # it can't be made: the check says so


def _backend(alias: str) -> Any:
    from django.core import mail

    mailers = getattr(mail, "mailers", None)
    return mail.get_connection() if mailers is None else mailers[alias]


def _drop(backend: Any) -> None:
    """No QUIT: the server may leave us waiting once more."""
    for name in ("connection", "_partial_connection"):
        connection = getattr(backend, name, None)
        if connection is not None:
            connection.close()
            setattr(backend, name, None)


def _words(error: Exception) -> str:
    import smtplib

    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "It doesn't offer what the settings ask for (TLS or a login)."
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"It refused the credentials (code {error.smtp_code})."
    if isinstance(error, smtplib.SMTPResponseException) and error.smtp_code > 0:
        return f"It answered with code {error.smtp_code}."
    return in_words(error)
