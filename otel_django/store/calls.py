"""What a span calls, for the edges of the service map: a name, and an index of EDGE_KINDS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from otel_django import names
from otel_django.store.roll_up_schema import EDGE_KINDS

NOT_SQL: Final = frozenset({"redis", "memcached", "valkey"})
DATABASE: Final = EDGE_KINDS.index("database")
MESSAGING: Final = EDGE_KINDS.index("messaging")
HTTP: Final = EDGE_KINDS.index("http")
CLIENT: Final = 2
PRODUCER: Final = 3
MAX_NAME: Final = 200
_USUAL_PORTS: Final = (None, 80, 443)


def database(attributes: Mapping[str, Any]) -> str:
    """``postgresql shop``, ``redis cache.internal``; empty for what is no database."""
    system = attributes.get(names.DB_SYSTEM_NAME)
    if not system:
        return ""
    where = attributes.get(names.SERVER_ADDRESS if system in NOT_SQL else names.DB_NAMESPACE)
    return f"{system} {where or ''}".strip()[:MAX_NAME]


def called(attributes: Mapping[str, Any], kind: int) -> tuple[str, int]:
    """The queue of a PRODUCER span, the host of a CLIENT span; empty where it says neither."""
    if kind == PRODUCER or names.MESSAGING_SYSTEM in attributes:
        queue = attributes.get(names.MESSAGING_DESTINATION_NAME)
        return str(queue or attributes.get(names.MESSAGING_SYSTEM) or "")[:MAX_NAME], MESSAGING
    host = attributes.get(names.SERVER_ADDRESS) or _host(attributes.get("url.full"))
    port = attributes.get(names.SERVER_PORT)
    return (f"{host}" if port in _USUAL_PORTS or not host else f"{host}:{port}")[:MAX_NAME], HTTP


def _host(url: object) -> str:
    try:
        return urlsplit(str(url or "")).hostname or ""
    except ValueError:
        return ""
