"""Who may send, and who may look."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Sequence
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from otel_django.receiver.answers import Refused
from otel_django.web.access import Access

if TYPE_CHECKING:
    from otel_django.tracing.trust import Environ

COOKIE: Final = "otel_django_receiver"
COOKIE_S: Final = 7 * 24 * 3600
_SAME: Final = frozenset({"same-origin", "none"})


class Door:
    """With ``tokens`` one of them opens it; without, only programs on this machine come in."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens = tuple(tokens)
        self._access = Access(tokens, "none" if tokens else "loopback", "never")

    def may_look(self, environ: Environ) -> bool:
        """By token, by the cookie of the login, or from this machine.

        A page of another site may lead here, and no more: how long answers take tells of them, too.
        """
        if self._access.verdict(environ) == "allowed":
            return bool(self.tokens) or not _is_a_part_elsewhere(environ)
        return self._has_cookie(environ)

    def check_sender(self, environ: Environ) -> None:
        """Raises Refused: who sends isn't let in.

        A page in a browser on this machine may come from anywhere: it can't write here.
        """
        if self._access.verdict(environ) == "allowed":
            if not self.tokens and _is_from_another_site(environ):
                raise Refused(403, "Web pages of other sites may not send here.")
            return
        if self.tokens:
            text = "A token is needed: OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20…"
            raise Refused(401, text, WWW_Authenticate="Bearer")
        raise Refused(403, "Only programs on this machine may send here, by its own name.")

    def is_token(self, text: str) -> bool:
        """Compared in constant time."""
        return self._access.has_token({"HTTP_AUTHORIZATION": f"Bearer {text}"})

    # --- the cookie: an end, and a signature by the tokens, so that none of them is in it

    def cookie(self) -> str:
        """The header of somebody who had a token."""
        until = str(int(time.time()) + COOKIE_S)
        value = f"{until}.{self._signature(until)}"
        return f"{COOKIE}={value}; Path=/; Max-Age={COOKIE_S}; HttpOnly; SameSite=Strict"

    def _has_cookie(self, environ: Environ) -> bool:
        if not self.tokens:
            return False
        try:
            found = SimpleCookie(environ.get("HTTP_COOKIE") or "").get(COOKIE)
        except CookieError:
            return False
        until, _, signature = ("" if found is None else found.value).partition(".")
        known = hmac.compare_digest(signature.encode(), self._signature(until).encode())
        return known and until.isdecimal() and int(until) > time.time()

    def _signature(self, until: str) -> str:
        key = "\0".join(self.tokens).encode("utf-8", "surrogateescape")
        return hmac.new(key, f"pages until {until}".encode(), hashlib.sha256).hexdigest()


def _is_a_part_elsewhere(environ: Environ) -> bool:
    """An image, a script, a frame, a ``fetch`` of another site's page."""
    leads = environ.get("HTTP_SEC_FETCH_MODE") == "navigate"
    whole = environ.get("HTTP_SEC_FETCH_DEST", "document") == "document"
    return environ.get("HTTP_SEC_FETCH_SITE", "none") not in _SAME and not (leads and whole)


def _is_from_another_site(environ: Environ) -> bool:
    if environ.get("HTTP_SEC_FETCH_SITE", "none") not in _SAME:
        return True
    origin = environ.get("HTTP_ORIGIN")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc != environ.get("HTTP_HOST")
    except ValueError:
        return True
