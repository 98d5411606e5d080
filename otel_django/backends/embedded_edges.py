"""Who calls whom, from the embedded store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from otel_django.backends.embedded_roll_ups import (
    LATE,
    MINUTE_NS,
    older,
    sums,
    texts,
    with_roll_ups,
)
from otel_django.backends.embedded_rows import Histogram
from otel_django.backends.embedded_session import StoreReader
from otel_django.roll_ups import Edge, EdgeAnswer
from otel_django.store.roll_up_schema import EDGE, EDGE_KINDS

if TYPE_CHECKING:
    from otel_django.roll_ups import EdgeKind

MAX_EDGES: Final = 500
PEER: Final = EDGE_KINDS.index("peer")
OLDER: Final = "calls that an older version wrote aren't counted"
TOO_MANY: Final = f"the {MAX_EDGES} edges with most calls"


class EmbeddedEdgeReader(StoreReader):
    """An ``EdgeReader`` of the store at ``path``; cheap to make."""

    def edges(self, since_ns: int, until_ns: int) -> EdgeAnswer:
        """At most 500."""
        found: dict[tuple[int, int, int], Histogram] = {}
        hosts: dict[int, set[int]] = {}
        minutes = (since_ns // MINUTE_NS, until_ns // MINUTE_NS)
        with self._session() as read:
            note = OLDER if older(read, since_ns) else ""
            try:
                for part in with_roll_ups(read):
                    for row in sums(read, part, EDGE, "source, target, kind, bucket", minutes):
                        if row[2] == PEER:
                            hosts.setdefault(row[0], set()).add(row[1])
                        else:
                            found.setdefault(row[:3], Histogram()).add(*row[3:])
            except TimeoutError:
                if not found:
                    raise
                note = LATE
                read.extend(1)
            most = sorted(found.items(), key=lambda item: -item[1].count)
            wanted = {number for key, _ in most[:MAX_EDGES] for number in key[:2]}
            named = texts(read, wanted.union(*hosts.values()))
        if len(most) > MAX_EDGES:
            note = note or TOO_MANY
        edges = tuple(_edge(*each, named) for each in most[:MAX_EDGES])
        return EdgeAnswer(edges, note, _single(hosts, named))


def _single(hosts: dict[int, set[int]], named: dict[int, str]) -> dict[str, str]:
    """Those behind which there is one service; of several, the host is a thing of its own."""
    return {
        named[host]: named[min(services)]
        for host, services in hosts.items()
        if len(services) == 1 and host in named and services <= named.keys()
    }


def _edge(key: tuple[int, int, int], found: Histogram, named: dict[int, str]) -> Edge:
    source, target, kind = key
    return Edge(
        named.get(source, ""),
        named.get(target, ""),
        cast("EdgeKind", EDGE_KINDS[kind]),
        found.count,
        found.errors,
        found.duration_ns,
        found.percentile_ns(0.95),
    )
