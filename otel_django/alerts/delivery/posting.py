"""JSON to an address that the site's operator chose, and what the answer means.

Nothing here raises or says what is secret: of an address only its host is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urldefrag, urlsplit

from otel_django import host_environment
from otel_django.alerts.delivery.contract import Outcome
from otel_django.alerts.delivery.retrying import MOST_PATIENCE_S
from otel_django.conf import OtlpSettings
from otel_django.errors import ForbiddenAddressError, TransportError
from otel_django.pipeline.http_transport import HttpTransport, without_user
from otel_django.pipeline.proxy import proxy_for
from otel_django.pipeline.retry import retry_after_s
from otel_django.store.json_text import dumps

if TYPE_CHECKING:
    from otel_django.pipeline.http_wire import Response

_AGAIN: Final = frozenset({408, 425, 429})
NOT_ALLOWED: Final = (
    "Its address is private, and OTEL_DJANGO_ALERTS_PRIVATE_ADDRESSES doesn't allow it."
)


class Poster(NamedTuple):
    """Posts to one address. ``may_reach`` is asked of each address that is connected to.

    Behind a proxy (``HTTPS_PROXY``) only the proxy looks names up; numbers are checked all the
    same.
    """

    url: str
    may_reach: Callable[[str], bool]

    def __repr__(self) -> str:
        return f"Poster({urlsplit(self.url).hostname})"

    def post(
        self,
        document: Mapping[str, Any] | bytes,
        timeout_s: float,
        headers: Mapping[str, str] | None = None,
        refused: Callable[[Response], str] | None = None,
    ) -> Outcome:
        """Post, and judge the answer. ``refused`` says in safe words what an answer's body says."""
        body = document if isinstance(document, bytes) else encoded(document)
        try:
            response = self._post(body, timeout_s, headers or {})
        except ForbiddenAddressError:
            return Outcome("refused", NOT_ALLOWED)
        except TransportError as error:
            return Outcome("retry", f"No answer: {error}.")
        return _judged(response, refused)

    def _post(self, body: bytes, timeout_s: float, headers: Mapping[str, str]) -> Response:
        endpoint, credentials = without_user(urldefrag(self.url).url)
        host = urlsplit(endpoint).hostname or ""
        proxy = proxy_for(endpoint, host_environment.proxy_variables())
        if proxy is not None and _is_forbidden_number(host, self.may_reach):
            raise ForbiddenAddressError("a private address")
        transport = HttpTransport(
            OtlpSettings(endpoint=endpoint, headers={**headers, **credentials}),
            proxy=proxy,
            content_type="application/json",
            may_reach=None if proxy else self.may_reach,
        )
        try:
            return transport.post(body, time.monotonic() + timeout_s)
        finally:
            transport.close()


def encoded(document: Mapping[str, Any]) -> bytes:
    """As JSON."""
    return dumps(document).encode()


def _is_forbidden_number(host: str, may_reach: Callable[[str], bool]) -> bool:
    from otel_django.pipeline.http_stream import numeric_addresses

    return any(not may_reach(str(one[4][0])) for one in numeric_addresses(host, 0))


def _judged(response: Response, refused: Callable[[Response], str] | None) -> Outcome:
    status = response.status
    if 200 <= status < 300:
        return Outcome("delivered", f"HTTP {status}")
    if status in _AGAIN or status >= 500:
        wish = retry_after_s(response.headers.get("retry-after", ""), time.time(), MOST_PATIENCE_S)
        return Outcome("retry", f"It answered with HTTP {status}.", wish)
    if 300 <= status < 400:
        return Outcome("refused", f"It answered with a redirect (HTTP {status}): none is followed.")
    said = refused(response) if refused is not None else ""
    return Outcome("refused", f"It answered with HTTP {status}{said and f' ({said})'}.")
