"""The list of traces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_django.contracts import TraceQuery
from otel_django.viewer.page import Context, page

if TYPE_CHECKING:
    from otel_django.viewer.visit import Visit


@page("traces", "Traces")
def traces(visit: Visit) -> Context:
    """What requests, tasks and commands did, newest first."""
    query = TraceQuery(
        since_ns=visit.range.since_ns,
        until_ns=visit.range.until_ns if not visit.range.key else None,
        service=visit.service,
        text=visit.text("q"),
        errors_only=visit.text("errors") == "1",
        cursor=visit.text("cursor") or None,
    )
    found = visit.readers.traces.list_traces(query)
    longest_ns = max((trace.duration_ns for trace in found.traces), default=1)
    return {
        "traces": found.traces,
        "longest_ns": longest_ns,
        "partial": found.partial,
        "next": visit.here(cursor=found.cursor) if found.cursor else "",
        "failed": sum(trace.failed for trace in found.traces),
    }
