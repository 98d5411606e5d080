"""Who calls whom, from the embedded store."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from otel_django import names
from otel_django.backends.embedded_rows import SPAN_SQL, Histogram, SpanRows
from otel_django.backends.embedded_session import TIMEOUT_S, Session, session
from otel_django.roll_ups import Edge, EdgeAnswer
from otel_django.store.schema import bucket

if TYPE_CHECKING:
    from otel_django.contracts import SpanRow

MAX_SPANS: Final = 5_000
Kind = Literal["service", "database", "messaging", "http"]


class EmbeddedEdgeReader:
    """An ``EdgeReader`` of the store at ``path``; cheap to make."""

    def __init__(self, path: Path, timeout_s: float = TIMEOUT_S) -> None:
        self.path = path
        self._timeout_s = timeout_s

    def _session(self) -> AbstractContextManager[Session]:
        return session(self.path, self._timeout_s)

    def edges(self, since_ns: int, until_ns: int) -> EdgeAnswer:
        """Out of the newest spans."""
        make = SpanRows().span
        spans: list[SpanRow] = []
        with self._session() as read:
            for part in read.slices:
                rows = read.run(
                    SPAN_SQL.format(part.id)
                    + "WHERE s.start_ns BETWEEN ? AND ? ORDER BY s.id DESC LIMIT ?",
                    (since_ns, until_ns, MAX_SPANS - len(spans)),
                )
                spans += map(make, rows)
        services = {span.span_id: span.service for span in spans}
        sums: dict[tuple[str, str, Kind], Histogram] = {}
        for span in spans:
            caller = services.get(span.parent_id or "")
            if caller is not None and caller != span.service:
                _add(sums, (caller, span.service, "service"), span)
            target = _target(span.kind, span.attributes)
            if target is not None:
                _add(sums, (span.service, *target), span)
        edges = (
            Edge(*key, each.count, each.errors, each.duration_ns, each.percentile_ns(0.95))
            for key, each in sums.items()
        )
        return EdgeAnswer(tuple(sorted(edges, key=lambda edge: -edge.count)))


def _add(
    sums: dict[tuple[str, str, Kind], Histogram], key: tuple[str, str, Kind], span: SpanRow
) -> None:
    failed = 1 if span.status == "error" else 0
    sums.setdefault(key, Histogram()).add(bucket(span.duration_ns), 1, failed, span.duration_ns)


def _target(kind: str, attributes: Any) -> tuple[str, Kind] | None:
    system = attributes.get(names.DB_SYSTEM_NAME)
    if kind == "client" and system:
        return f"{system} {attributes.get(names.DB_NAMESPACE, '')}".strip(), "database"
    if kind == "producer":
        return str(attributes.get(names.MESSAGING_DESTINATION_NAME, "")), "messaging"
    if kind == "client" and attributes.get(names.SERVER_ADDRESS):
        return str(attributes[names.SERVER_ADDRESS]), "http"
    return None
