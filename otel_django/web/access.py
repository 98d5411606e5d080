"""Who may read what isn't for everybody: by token, or by network.

A request is its WSGI-style environ (``REMOTE_ADDR``, ``HTTP_AUTHORIZATION``, …), whoever serves it.
"""

from __future__ import annotations

import hmac
import ipaddress
from typing import TYPE_CHECKING, Literal

from otel_django.tracing.trust import (
    Environ,
    TrustPolicy,
    is_forwarded,
    membership,
    names_the_client,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otel_django.conf import Settings
    from otel_django.tracing.trust import Network

Verdict = Literal["allowed", "unauthorized", "forbidden"]

_is_loopback = membership(
    (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")),
)


class Access:
    """Tokens let anybody in; else the peer's address decides.

    ``networks`` are addresses, or "any" or "none"; "loopback" is for programs on this machine that
    ask by one of its loopback names, so that neither a proxy nor a page in a browser here that was
    sent to us by its own name (DNS rebinding) can ask for others.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        networks: Literal["loopback", "any", "none"] | Sequence[Network],
        inbound: str | Sequence[Network],
    ) -> None:
        self._tokens = [token.encode("utf-8", "surrogateescape") for token in tokens]
        self._networks = networks
        self._is_member = membership(() if isinstance(networks, str) else tuple(networks))
        self._proxies = None if isinstance(inbound, str) else TrustPolicy(inbound)

    @classmethod
    def to_metrics(cls, settings: Settings) -> Access:
        """As the settings have it."""
        return cls(settings.tokens, settings.metrics_access, settings.trust_inbound)

    def verdict(self, environ: Environ) -> Verdict:
        """ "unauthorized" where a token would help."""
        if self.has_token(environ) or self._comes_from_allowed(environ):
            return "allowed"
        return "unauthorized" if self._tokens else "forbidden"

    def has_token(self, environ: Environ) -> bool:
        """Compared in constant time with every token there is."""
        scheme, _, given = (environ.get("HTTP_AUTHORIZATION") or "").strip().partition(" ")
        if scheme.lower() != "bearer":
            return False
        found = given.strip().encode("utf-8", "surrogateescape")
        return sum([hmac.compare_digest(found, token) for token in self._tokens]) > 0

    def _comes_from_allowed(self, environ: Environ) -> bool:
        if self._networks == "any":
            return True
        if self._networks == "none":
            return False
        if self._networks == "loopback":
            return (
                not is_forwarded(environ)
                and _is_in(_is_loopback, environ.get("REMOTE_ADDR") or "")
                and _names_loopback(environ.get("HTTP_HOST") or "localhost")
            )
        return _is_in(self._is_member, self._client(environ))

    def _client(self, environ: Environ) -> str:
        """The address that asks, "" if it can't be known: proxies are to be named for that."""
        if not is_forwarded(environ):
            return environ.get("REMOTE_ADDR") or ""
        if self._proxies is None or not names_the_client(environ):
            return ""
        client = self._proxies.client_address(environ)
        return "" if client == environ.get("REMOTE_ADDR") else client


def _is_in(is_member: Callable[[str], bool], address: str) -> bool:
    """A Unix socket's peer, who has no address, is in no network."""
    return bool(address) and is_member(address)


def _names_loopback(host: str) -> bool:
    name = host.partition("]")[0].strip("[") if host.startswith("[") else host.partition(":")[0]
    name = name.lower().rstrip(".")
    return name == "localhost" or name.endswith(".localhost") or _is_in(_is_loopback, name)
