"""Attributes of older semantic conventions, which many SDKs still send, under today's names too."""

from __future__ import annotations

from typing import Any, Final

from opentelemetry.trace import SpanKind

from otel_django import names

_HTTP: Final = {
    "http.method": names.HTTP_REQUEST_METHOD,
    "http.status_code": names.HTTP_RESPONSE_STATUS_CODE,
    "http.scheme": names.URL_SCHEME,
    "http.url": "url.full",
}
_DATABASE: Final = {
    "db.system": names.DB_SYSTEM_NAME,
    "db.name": names.DB_NAMESPACE,
    "db.statement": names.DB_QUERY_TEXT,
    "db.operation": names.DB_OPERATION_NAME,
    "db.sql.table": names.DB_COLLECTION_NAME,
}
_MESSAGING: Final = {"messaging.destination": names.MESSAGING_DESTINATION_NAME}
_PEER: Final = {"net.peer.name": names.SERVER_ADDRESS, "net.peer.port": names.SERVER_PORT}
_HOST: Final = {"net.host.name": names.SERVER_ADDRESS, "net.host.port": names.SERVER_PORT}
_TELLING: Final = {"http.method": _HTTP, "db.system": _DATABASE, "messaging.system": _MESSAGING}


def renewed(attributes: dict[str, Any], kind: SpanKind) -> dict[str, Any]:
    """``attributes`` with what today's names lack; pages and sums look for these."""
    for telling, conventions in _TELLING.items():
        if telling in attributes:
            place = _HOST if kind is SpanKind.SERVER else _PEER
            for old, new in (*conventions.items(), *place.items()):
                if old in attributes:
                    attributes.setdefault(new, attributes[old])
    target = attributes.get("http.target")
    if isinstance(target, str):
        attributes.setdefault(names.URL_PATH, target.partition("?")[0])
    return attributes
