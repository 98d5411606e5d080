"""Where pages read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_django.backends.embedded_kept import EmbeddedKeptReader
    from otel_django.backends.read_from import AllKept, Traces
    from otel_django.conf import Settings
    from otel_django.contracts import LogReader, MetricReader
    from otel_django.roll_ups import (
        EdgeReader,
        ErrorReader,
        LogSummaryReader,
        ReleaseReader,
        TimelineReader,
    )


@dataclass(frozen=True, slots=True)
class Readers:
    """One of each question, cheap to make; ``kind`` names the backends for people."""

    traces: Traces
    logs: LogReader
    metrics: MetricReader
    timeline: TimelineReader
    log_summary: LogSummaryReader
    errors: ErrorReader
    edges: EdgeReader
    releases: ReleaseReader
    kept: EmbeddedKeptReader | AllKept
    kind: str = "embedded store"


def readers_of(settings: Settings) -> Readers | None:
    """What the settings say; None where nothing that can be read is kept."""
    if settings.store is None and not settings.read_from:
        return None
    from otel_django.backends.read_from import ReadFrom

    chosen = ReadFrom(settings)
    return Readers(
        chosen.traces(),
        chosen.logs(),
        chosen.metrics(),
        chosen.timeline(),
        chosen.log_summary(),
        chosen.errors(),
        chosen.edges(),
        chosen.releases(),
        chosen.kept(),
        chosen.kind,
    )
