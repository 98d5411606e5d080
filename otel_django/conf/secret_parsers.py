"""Parsers of what is never shown: keys, and addresses that are as good as keys."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from otel_django.conf.parsers import MASK, Parser, Raw, Unusable, one_text

_SCHEMES: Final = ("http", "https")


def secret(allowed: str = "any text without spaces") -> Parser:
    """A text that is shown nowhere."""

    def parse(raw: Raw) -> str:
        value = one_text(raw)
        if not value.isprintable() or " " in value:
            raise Unusable("it has characters that can't be in it")
        return value

    return Parser(parse, str, allowed, lambda value: value and MASK, mask=lambda _: MASK)


def secret_url(example: str) -> Parser:
    """An http(s) address of which only the host is shown."""
    return Parser(
        _url,
        str,
        f"a URL such as `{example}`",
        public=lambda value: value and _host_only(value),
        mask=_host_only,
    )


def site_url() -> Parser:
    """An http(s) address that ends with a slash, without user, query and fragment."""

    def parse(raw: Raw) -> str:
        value = _url(raw)
        parts = urlsplit(value)
        if parts.username is not None or parts.query or parts.fragment:
            raise Unusable("it has more than a host and a path")
        return value if value.endswith("/") else f"{value}/"

    return Parser(
        parse, str, "a URL such as `https://shop.example/monitoring/`", public=str, mask=_host_only
    )


def _url(raw: Raw) -> str:
    value = one_text(raw)
    if not value.isprintable() or " " in value:
        raise Unusable("it has characters that can't be in a URL")
    parts = _parts(value)
    if parts is None:
        raise Unusable("it isn't an http or https URL with a host")
    return value


def _parts(value: str) -> tuple[str, str, int | None] | None:
    try:
        url = urlsplit(value)
        found = (url.scheme.lower(), url.hostname or "", url.port)
    except ValueError:
        return None
    return found if found[0] in _SCHEMES and found[1] and found[2] != 0 else None


def _host_only(value: str) -> str:
    found = _parts(value)
    if found is None:
        return MASK
    scheme, host, port = found
    return f"{scheme}://{host}{f':{port}' if port else ''}/{MASK}"
