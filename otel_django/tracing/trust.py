"""Whose context is taken: the policy for ``traceparent``, ``baggage`` and ``X-Request-ID``.

Pure: a request is its WSGI-style environ (``REMOTE_ADDR``, ``HTTP_X_FORWARDED_FOR``, …). A stranger
must not choose our trace ids, switch sampling on or fill our baggage, so that the default trusts
only loopback and private peers that forward for nobody.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Environ: TypeAlias = Mapping[str, Any]

FORWARDING_HEADERS = (
    "HTTP_X_FORWARDED_FOR",
    "HTTP_FORWARDED",
    "HTTP_X_REAL_IP",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_VIA",
    "HTTP_CF_CONNECTING_IP",
    "HTTP_TRUE_CLIENT_IP",
    "HTTP_X_CLIENT_IP",
)
"""Any of these says that the peer speaks for someone else."""

_MOST_HOPS = 32


class TrustPolicy:
    """``OTEL_DJANGO_TRUST_INBOUND``: "auto", "always", "never" or the networks that are ours."""

    __slots__ = ("_decision", "_is_ours", "_needs_no_forwarding")

    def __init__(self, inbound: str | Sequence[Network]) -> None:
        self._decision: bool | None = None
        self._needs_no_forwarding = True
        self._is_ours: Callable[[str], bool] = _is_private
        if isinstance(inbound, str):
            if inbound != "auto":
                self._decision = inbound == "always"
        else:
            self._needs_no_forwarding = False
            self._is_ours = membership(tuple(inbound))

    def trusts(self, environ: Environ) -> bool:
        """Whether the context and the request id that came with this request are taken."""
        if self._decision is not None:
            return self._decision
        if not self._is_ours(environ.get("REMOTE_ADDR") or ""):
            return False
        if not is_forwarded(environ):
            return True
        if self._needs_no_forwarding:
            return False
        hops = forwarded_hops(environ)
        return bool(hops) and all(self._is_ours(hop) for hop in hops)

    def client_address(self, environ: Environ) -> str:
        """The peer's address; behind our own proxies, the right-most hop that isn't ours.

        "" when the server names no peer (a Unix socket) and no proxy names one either.
        """
        peer: str = environ.get("REMOTE_ADDR") or ""
        hops = forwarded_hops(environ)
        if not hops or not self._is_ours(peer):
            return peer
        nearest = peer
        for hop in reversed(hops):
            if _address(hop) is None:
                break  # "unknown", or nonsense: what stands left of it is worth no more
            nearest = hop
            if not self._is_ours(hop):
                break
        return nearest


def is_forwarded(environ: Environ) -> bool:
    """Whether the peer says that it speaks for someone else."""
    for header in FORWARDING_HEADERS:  # noqa: SIM110 - any() takes three times as long
        if header in environ:
            return True
    return False


def names_the_client(environ: Environ) -> bool:
    """Whether ``forwarded_hops`` has anything to read."""
    return (
        "HTTP_X_FORWARDED_FOR" in environ
        or "HTTP_FORWARDED" in environ
        or "HTTP_X_REAL_IP" in environ
    )


def forwarded_hops(environ: Environ) -> list[str]:
    """The addresses of ``X-Forwarded-For``, ``Forwarded`` or ``X-Real-IP``, nearest hop last."""
    text = environ.get("HTTP_X_FORWARDED_FOR")
    if text:
        return [_without_port(hop) for hop in text.split(",")[-_MOST_HOPS:]]
    text = environ.get("HTTP_FORWARDED")
    if text:
        return [_forwarded_for(element) for element in text.split(",")[-_MOST_HOPS:]]
    text = environ.get("HTTP_X_REAL_IP")
    return [_without_port(text)] if text else []


def _forwarded_for(element: str) -> str:
    """The ``for=`` of one element of a ``Forwarded`` header (RFC 7239), "" if it has none."""
    for pair in element.split(";"):
        name, _, value = pair.strip().partition("=")
        if name.lower() == "for":
            return _without_port(value.strip('"'))
    return ""


def _without_port(hop: str) -> str:
    hop = hop.strip()
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


@functools.lru_cache(maxsize=1024)
def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@functools.lru_cache(maxsize=1024)
def _is_private(text: str) -> bool:
    """Loopback or private; a peer without an address came through a Unix socket."""
    if not text:
        return True
    address = _address(text)
    return address is not None and (address.is_private or address.is_link_local)


def membership(networks: tuple[Network, ...]) -> Callable[[str], bool]:
    """Whether an address is in one of ``networks``; "", a Unix socket's, is."""

    @functools.lru_cache(maxsize=1024)
    def is_ours(text: str) -> bool:
        if not text:
            return True
        address = _address(text)
        return address is not None and any(
            address in network for network in networks if network.version == address.version
        )

    return is_ours
