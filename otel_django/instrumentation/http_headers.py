"""Headers: those a site asks to have on its spans, and those we put on responses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from django.utils.functional import LazyObject, empty

from otel_django.tracing import request_id
from otel_django.tracing.redaction import MASK, Redactor

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase
    from opentelemetry.trace import SpanContext

    from otel_django.tracing.limits import Plain

SERVER_TIMING: Final = "Server-Timing"

REQUEST_ID_KEY: Final = request_id.HEADER.lower()
"""The request id's place in the mapping inside a response's headers."""
_MAX_VALUE = 2048


class HeaderCapture:
    """``OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_*``.

    ``wanted`` and ``sanitize`` are regular expressions for names, in any case, as upstream's:
    a wanted name matches in whole, one to sanitise in part. Cookies, authorization and other
    sensitive names are masked however the variables are set.
    """

    def __init__(
        self, prefix: str, wanted: Sequence[str], sanitize: Sequence[str], redactor: Redactor
    ) -> None:
        self._prefix = prefix
        self._wanted = _any_of(wanted)
        self._sanitize = _any_of(sanitize)
        self._redactor = redactor

    def capture(self, headers: Iterable[tuple[str, str]]) -> Iterator[tuple[str, list[Plain]]]:
        """Attribute names and values of the wanted ones among ``headers``."""
        if self._wanted is None:
            return
        for name, value in headers:
            if self._wanted.fullmatch(name):
                yield self._prefix + name.lower(), [self._safe(name, value)]

    def _safe(self, name: str, value: str) -> str:
        if self._sanitize is not None and self._sanitize.search(name):
            return MASK
        return self._redactor.value(name, value[:_MAX_VALUE])


def _any_of(expressions: Sequence[str]) -> re.Pattern[str] | None:
    return (
        re.compile("|".join(f"(?:{each})" for each in expressions), re.IGNORECASE)
        if expressions
        else None
    )


def request_headers(meta: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Names as on the wire, but for their case, and values of a request's headers."""
    for key, value in meta.items():
        if key[:5] == "HTTP_":
            yield key[5:].replace("_", "-"), value
        elif key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value:
            yield key.replace("_", "-"), value


def add_server_timing(response: HttpResponseBase, context: SpanContext) -> None:
    """Name the trace for the page in the browser, after what the site says itself."""
    entry = f'traceparent;desc="00-{context.trace_id:032x}-{context.span_id:016x}'
    entry = f'{entry}-{context.trace_flags:02x}"'
    before = response.headers.get(SERVER_TIMING)
    response.headers[SERVER_TIMING] = f"{before}, {entry}" if before else entry


def loaded_user(request: HttpRequest) -> Any:
    """The request's user if the site has loaded it, else None: never a query for our sake."""
    state = request.__dict__
    user = state.get("user")
    if user is None or not isinstance(user, LazyObject):
        return user
    loaded = user.__dict__.get("_wrapped", empty)
    if loaded is not empty:
        return loaded
    return state.get("_cached_user") or state.get("_acached_user")


def is_staff(user: Any) -> bool:
    """Whether a loaded user is staff, from its own fields alone."""
    return user is not None and getattr(user, "__dict__", {}).get("is_staff") is True
