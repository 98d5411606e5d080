"""Whether services that the site depends on answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from time import monotonic
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from otel_django import host_environment
from otel_django.conf import OtlpSettings, Settings
from otel_django.health.check import Registered
from otel_django.health.instances import IN_TIME, ask_each
from otel_django.health.judging import judged
from otel_django.health.results import CheckError, Result

if TYPE_CHECKING:
    from otel_django.conf.limits import Limit
    from otel_django.pipeline.http_transport import HttpTransport

BODY_BYTES: Final = 4096
"""What is read of an answer: a page of millions of bytes is no better a sign."""


def checks(settings: Settings) -> Iterator[Registered]:
    """One check, an instance a service."""
    check = HttpCheck(
        settings.health_urls, settings.health_timeout_s, settings.health_limits["http_ms"]
    )
    yield Registered(
        "http",
        check.run,
        is_possible=lambda: bool(settings.health_urls),
        prepare=check.prepare,
    )


class HttpCheck:
    """One GET each, through the environment's proxy if it names one; redirects aren't followed.

    ``urls`` may have a name and ``=`` in front; else the host, and the path if need be, is the
    name. User, password and query are shown nowhere.
    """

    def __init__(self, urls: tuple[str, ...], timeout_s: float, slow_ms: Limit) -> None:
        self._urls = named(urls)
        self._timeout_s = timeout_s
        self._slow_ms = slow_ms
        self._transports: dict[str, HttpTransport] = {}

    def run(self) -> list[Result]:
        """Ask all of them at the same time."""
        return ask_each(list(self._urls), self._ask, "otel-django-health-http")

    def prepare(self) -> None:
        """Load what speaks HTTP and TLS."""
        for name in self._urls:
            self._transport(name)

    def _ask(self, name: str) -> Result:
        began_s = monotonic()
        deadline_s = began_s + self._timeout_s * IN_TIME
        status = self._transport(name).get(deadline_s, max_body=BODY_BYTES).status
        if not 200 <= status < 400:
            raise CheckError(f"It answered with status {status}.")
        duration_ms = (monotonic() - began_s) * 1000
        found = judged(duration_ms, self._slow_ms)
        return Result(
            found,
            f"It took {duration_ms:.0f} ms to answer." if found != "healthy" else "",
            {"duration_ms": round(duration_ms, 1), "status_code": status},
        )

    def _transport(self, name: str) -> HttpTransport:
        """Kept: what it has learned of names and certificates is of use again."""
        if name not in self._transports:
            self._transports[name] = _transport(self._urls[name])
        return self._transports[name]


def named(urls: tuple[str, ...]) -> dict[str, str]:
    """URLs by the names that they are shown under."""
    found: dict[str, str] = {}
    for entry in urls:
        match = re.fullmatch(r"([\w.-]+)=(https?://.*)", entry)
        name, url = match.groups() if match else (_host(entry), entry)
        if name in found:
            name += urlsplit(url).path
        found.setdefault(name, url)
    return found


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _transport(url: str) -> HttpTransport:
    from otel_django.pipeline.http_transport import HttpTransport, without_user
    from otel_django.pipeline.proxy import proxy_for

    endpoint, credentials = without_user(url)
    return HttpTransport(
        OtlpSettings(endpoint=endpoint, headers={"accept": "*/*", **credentials}),
        proxy=proxy_for(endpoint, host_environment.proxy_variables()),
    )
