"""Which proxy a request takes, by the usual variables."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit


def proxy_for(endpoint: str, environ: Mapping[str, str]) -> str | None:
    """The proxy's URL for ``endpoint``, None for a direct connection.

    ``http_proxy``, ``https_proxy``, ``all_proxy`` and ``no_proxy``, lower case before upper case.
    Loopback addresses are always direct. HTTP_PROXY in upper case doesn't count where
    REQUEST_METHOD is set: under CGI a client could set it (httpoxy).
    """
    url = urlsplit(endpoint)
    host = (url.hostname or "").lower()
    if not host or _is_loopback(host) or _is_excepted(host, url.port, environ):
        return None
    for name in (f"{url.scheme}_proxy", "all_proxy"):
        value = environ.get(name, "")
        if not value and not (name == "http_proxy" and "REQUEST_METHOD" in environ):
            value = environ.get(name.upper(), "")
        if value:
            return value if "://" in value else f"http://{value}"
    return None


def grpc_proxy_for(host: str, port: int, environ: Mapping[str, str]) -> str | None:
    """The proxy that gRPC itself takes: variables in lower case, loopback addresses too."""
    excepted = {"no_proxy": environ.get("no_grpc_proxy") or environ.get("no_proxy", "")}
    if _is_excepted(host.lower(), port, excepted):
        return None
    named = (environ.get(name) for name in ("grpc_proxy", "https_proxy", "http_proxy"))
    return next(filter(None, named), None)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_excepted(host: str, port: int | None, environ: Mapping[str, str]) -> bool:
    for entry in (environ.get("no_proxy") or environ.get("NO_PROXY", "")).split(","):
        name = entry.strip().lower()
        if name == "*" or (name and _matches(host, port, name)):
            return True
    return False


def _matches(host: str, port: int | None, name: str) -> bool:
    if "/" in name:
        try:
            return ipaddress.ip_address(host) in ipaddress.ip_network(name, strict=False)
        except ValueError:
            return False
    bare, _, wanted_port = name.rpartition(":")
    if bare and wanted_port.isdigit() and ":" not in bare:
        if port is None or int(wanted_port) != port:
            return False
        name = bare
    name = name.removeprefix("*").lstrip(".")
    return host == name or host.endswith(f".{name}")
