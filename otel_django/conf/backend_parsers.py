"""Parser of the addresses that pages and alerts read from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from otel_django.conf.list_parsers import names
from otel_django.conf.parsers import NOTHING, Parser, Raw, Unusable, endpoint, mask_url

if TYPE_CHECKING:
    from collections.abc import Mapping

BACKENDS: Final = ("jaeger", "loki", "prometheus")
STORE: Final = "store"
_NEXT: Final = re.compile(rf",(?=\s*(?:{'|'.join(BACKENDS)})\s*=)", re.IGNORECASE)
"""A comma that stands between two of them; passwords and queries may have others."""
_NAMED: Final = re.compile(r"(\s*\w*\s*=)?(.*)", re.DOTALL)


def backends() -> Parser:
    """``store``, or ``jaeger=URL,loki=URL,prometheus=URL``: URLs by name; empty for the store."""
    listed = names()
    url = endpoint()

    def parse(raw: Raw) -> dict[str, str]:
        given = raw.items() if isinstance(raw, dict) else map(_pair, listed.parse(raw))
        found: dict[str, str] = {}
        bad = 0
        for name, address in given:
            if (name.lower(), address) == (STORE, ""):
                continue
            try:
                found[_known(name)] = _url(url.parse(address))
            except Unusable:
                bad += 1
        if bad:
            raise Unusable(f"{bad} of its parts can't be read", found or NOTHING)
        return found

    def public(value: Mapping[str, str]) -> str:
        return show({name: mask_url(address) for name, address in value.items()})

    def show(value: Mapping[str, str]) -> str:
        return ",".join(f"{name}={address}" for name, address in value.items()) or STORE

    return Parser(
        parse,
        show,
        "`store`, or addresses with names and commas between them, such as "
        "`jaeger=http://localhost:16686,loki=http://localhost:3100,"
        "prometheus=http://localhost:9090`",
        public,
        mask=lambda text: ",".join(map(_masked, _NEXT.split(text))),
    )


def _pair(item: str) -> tuple[str, str]:
    name, _, address = item.partition("=")
    return name.strip(), address.strip()


def _masked(part: str) -> str:
    """What can't be read, without what may be a secret."""
    return _NAMED.sub(lambda found: (found[1] or "") + mask_url(found[2]), part, count=1)


def _known(name: str) -> str:
    if name.lower() not in BACKENDS:
        raise Unusable("not a backend that can be read")
    return name.lower()


def _url(address: str) -> str:
    """Paths are appended to it."""
    if "://" not in address or "?" in address or "#" in address:
        raise Unusable("it isn't a URL without a query")
    return address.rstrip("/")
