"""Where pages read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_django.backends.embedded import EmbeddedReader
    from otel_django.backends.embedded_kept import EmbeddedKeptReader
    from otel_django.backends.embedded_logs import EmbeddedLogReader
    from otel_django.backends.embedded_metrics import EmbeddedMetricReader
    from otel_django.conf import Settings
    from otel_django.roll_ups import (
        EdgeReader,
        ErrorReader,
        LogSummaryReader,
        ReleaseReader,
        TimelineReader,
    )


@dataclass(frozen=True, slots=True)
class Readers:
    """One of each question, cheap to make; ``kind`` names the backend for people."""

    traces: EmbeddedReader
    logs: EmbeddedLogReader
    metrics: EmbeddedMetricReader
    timeline: TimelineReader
    log_summary: LogSummaryReader
    errors: ErrorReader
    edges: EdgeReader
    releases: ReleaseReader
    kept: EmbeddedKeptReader
    kind: str = "embedded store"


def readers_of(settings: Settings) -> Readers | None:
    """What the settings say; None where nothing that can be read is kept."""
    if settings.store is None:
        return None
    from otel_django.backends.embedded import EmbeddedReader
    from otel_django.backends.embedded_edges import EmbeddedEdgeReader
    from otel_django.backends.embedded_errors import EmbeddedErrorReader
    from otel_django.backends.embedded_kept import EmbeddedKeptReader
    from otel_django.backends.embedded_log_summary import EmbeddedLogSummaryReader
    from otel_django.backends.embedded_logs import EmbeddedLogReader
    from otel_django.backends.embedded_metrics import EmbeddedMetricReader
    from otel_django.backends.embedded_releases import EmbeddedReleaseReader
    from otel_django.backends.embedded_timeline import EmbeddedTimelineReader

    path = settings.store
    return Readers(
        EmbeddedReader(path),
        EmbeddedLogReader(path),
        EmbeddedMetricReader(path),
        EmbeddedTimelineReader(path),
        EmbeddedLogSummaryReader(path),
        EmbeddedErrorReader(path),
        EmbeddedEdgeReader(path),
        EmbeddedReleaseReader(path),
        EmbeddedKeptReader(path),
    )
