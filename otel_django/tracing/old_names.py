"""The attribute names from before the conventions were stable, beside the stable ones.

For dashboards on their way over: ``OTEL_SEMCONV_STABILITY_OPT_IN=http/dup,database/dup``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.trace import SpanProcessor

from otel_django import names

if TYPE_CHECKING:
    from collections.abc import Collection

HTTP: Final = {
    names.HTTP_REQUEST_METHOD: "http.method",
    names.HTTP_RESPONSE_STATUS_CODE: "http.status_code",
    names.URL_SCHEME: "http.scheme",
    names.URL_PATH: "http.target",
    names.USER_AGENT_ORIGINAL: "http.user_agent",
    names.CLIENT_ADDRESS: "http.client_ip",
    names.NETWORK_PROTOCOL_VERSION: "http.flavor",
    names.SERVER_ADDRESS: "net.host.name",
    names.SERVER_PORT: "net.host.port",
}
DATABASE: Final = {
    names.DB_SYSTEM_NAME: "db.system",
    names.DB_NAMESPACE: "db.name",
    names.DB_QUERY_TEXT: "db.statement",
    names.DB_OPERATION_NAME: "db.operation",
    names.DB_COLLECTION_NAME: "db.sql.table",
    names.SERVER_ADDRESS: "net.peer.name",
    names.SERVER_PORT: "net.peer.port",
}


class OldNames(SpanProcessor):
    """Adds the old names to the spans of our own instrumentations just before they end."""

    def __init__(self, opt_in: Collection[str]) -> None:
        self._http = HTTP if "http/dup" in opt_in else {}
        self._database = DATABASE if "database/dup" in opt_in else {}

    def _on_ending(self, span: Any) -> None:
        if span.instrumentation_scope.name != names.SCOPE:
            return
        attributes: dict[str, Any] = span._attributes
        table = self._http if names.HTTP_REQUEST_METHOD in attributes else self._database
        for new, old in table.items():
            if new in attributes:
                attributes.setdefault(old, attributes[new])


def wanted(opt_in: Collection[str]) -> bool:
    """Whether the setting asks for any old name."""
    return "http/dup" in opt_in or "database/dup" in opt_in
