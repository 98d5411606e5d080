"""Questions to a backend with an HTTP API: bounded in time and bytes, answered in JSON.

What goes wrong is a ReadError that names the backend and its host, and holds neither a header nor
what the backend said of the question.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from otel_django import host_environment
from otel_django.conf import OtlpSettings
from otel_django.errors import ReadError, ReadTimeoutError, TransportError
from otel_django.pipeline.http_transport import HttpTransport, without_user
from otel_django.pipeline.proxy import proxy_for
from otel_django.store.json_text import loads

MAX_BYTES: Final = 32 << 20
_NOTHING_FOUND: Final = 404
_REFUSED: Final = (400, 422)
_NOT_ALLOWED: Final = (401, 403)
_TOO_MUCH: Final = (408, 413, 429, 503, 504)

Parameters = Mapping[str, Any] | Iterable[tuple[str, Any]]


class TooLargeError(ReadError):
    """The answer has more bytes than are read; a narrower question may do."""


class Remote:
    """A backend by its ``name`` ("Loki"); each question has a connection of its own.

    Redirects aren't followed. ``headers`` have names in lower case. One that can't be reached isn't
    asked again for as long as a question may take: a page of many parts waits once.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        certificate: str | None = None,
        timeout_s: float = 10.0,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        address, credentials = without_user(url)
        self.name = name
        self._url = address.rstrip("/")
        self._headers = {"accept": "application/json", **credentials, **(headers or {})}
        self._certificate = certificate
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._away: ReadError | None = None
        self._away_until_s = 0.0

    @property
    def place(self) -> str:
        """For messages: the name and where it is."""
        parts = urlsplit(self._url)
        return f"{self.name} at {parts.scheme}://{parts.netloc}"

    def ask(self, path: str, parameters: Parameters = (), **headers: str) -> Any:
        """What it answers; None where it says that there is no such thing (404).

        ``path``'s parts are quoted already. Underscores in names of ``headers`` stand for hyphens.

        Raises:
            TooLargeError: its answer is too long.
            ReadTimeoutError: it took too long.
            ReadError: it can't be reached, doesn't want to, or makes no sense.
        """
        query = urlencode(list(_pairs(parameters)), quote_via=quote, errors="replace")
        response = self._get(f"{self._url}{path}{'?' if query else ''}{query}", headers)
        if response.status == _NOTHING_FOUND and response.body.lstrip()[:1] == b"{":
            return None
        if not 200 <= response.status < 300:
            raise ReadError(f"{self.place} {self._why_not(response.status)}")
        if len(response.body) > self._max_bytes:
            raise TooLargeError(
                f"{self.place} has more to say than {self._max_bytes >> 20} MB: "
                "ask for a shorter range"
            )
        return self._parsed(response.body)

    def _get(self, url: str, headers: Mapping[str, str]) -> Any:
        if self._away is not None and time.monotonic() < self._away_until_s:
            raise type(self._away)(str(self._away))
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        transport = HttpTransport(
            OtlpSettings(
                endpoint=url, headers={**self._headers, **more}, certificate=self._certificate
            ),
            proxy=proxy_for(self._url, host_environment.proxy_variables()),
        )
        deadline_s = time.monotonic() + self._timeout_s
        try:
            return transport.get(deadline_s, max_body=self._max_bytes + 1)
        except TransportError as error:
            now_s = time.monotonic()
            self._away = self._unreached(error, late=now_s >= deadline_s)
            self._away_until_s = now_s + self._timeout_s
            raise self._away from error

    def _unreached(self, error: TransportError, *, late: bool) -> ReadError:
        if late:
            return ReadTimeoutError(
                f"{self.place} took longer than {self._timeout_s:g} s: "
                "ask for a shorter range, or raise OTEL_DJANGO_READ_FROM_TIMEOUT"
            )
        return ReadError(f"{self.place} can't be read: {error}")

    def _parsed(self, body: bytes) -> Any:
        try:
            return loads(body)
        except (ValueError, RecursionError):
            raise ReadError(
                f"{self.place} doesn't answer in JSON: is that the address of {self.name}'s API?"
            ) from None

    def _why_not(self, status: int) -> str:
        if status in _NOT_ALLOWED:
            setting = f"OTEL_DJANGO_READ_FROM_HEADERS_{self.name.upper()}"
            return f"doesn't let this site in (status {status}): look at {setting}"
        if 300 <= status < 400:
            return f"sends questions elsewhere (status {status}): name the address it answers at"
        if status in _REFUSED:
            return f"refused the question (status {status}): a shorter range may do"
        if status in _TOO_MUCH:
            return f"has too much to do (status {status}): ask again later, or for a shorter range"
        if status == _NOTHING_FOUND:
            return "has no such page (status 404): is that the address of its API?"
        return f"failed (status {status}): its log says why"

    def malformed(self) -> ReadError:
        """To raise where an answer isn't what the API's documents say."""
        return ReadError(
            f"{self.place} answered something that can't be understood: is it {self.name}?"
        )


def _pairs(parameters: Parameters) -> Iterable[tuple[str, str]]:
    pairs = parameters.items() if isinstance(parameters, Mapping) else parameters
    return ((name, str(value)) for name, value in pairs if value is not None)


def path_part(text: str) -> str:
    """A part of a path."""
    return quote(text, safe="", errors="replace")
