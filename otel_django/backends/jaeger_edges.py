"""Which service calls which, as Jaeger counts it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_django.roll_ups import Edge, EdgeAnswer

if TYPE_CHECKING:
    from otel_django.backends.remote import Remote

MAX_EDGES: Final = 500
CALLS_ONLY: Final = (
    "Jaeger counts calls between services only: not how long they took, which failed, "
    "nor those of databases and queues"
)


class JaegerEdgeReader:
    """An ``EdgeReader``."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def edges(self, since_ns: int, until_ns: int) -> EdgeAnswer:
        """The 500 with most calls."""
        last_ms, first_ms = until_ns // 1_000_000, since_ns // 1_000_000
        answer = self._remote.ask(
            "/api/dependencies", {"endTs": last_ms, "lookback": max(1, last_ms - first_ms)}
        )
        try:
            found = [
                Edge(
                    str(each["parent"]), str(each["child"]), "service", int(each["callCount"]), 0, 0
                )
                for each in (answer or {}).get("data") or ()
                if each["parent"] != each["child"]
            ]
        except (AttributeError, KeyError, TypeError, ValueError):
            raise self._remote.malformed() from None
        found.sort(key=lambda edge: -edge.count)
        return EdgeAnswer(tuple(found[:MAX_EDGES]), CALLS_ONLY)
