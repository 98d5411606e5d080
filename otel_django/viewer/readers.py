"""Where pages read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_django.backends.embedded import EmbeddedReader
    from otel_django.backends.embedded_logs import EmbeddedLogReader
    from otel_django.backends.embedded_metrics import EmbeddedMetricReader
    from otel_django.conf import Settings


@dataclass(frozen=True, slots=True)
class Readers:
    """One of each signal, cheap to make; ``kind`` names the backend for people."""

    traces: EmbeddedReader
    logs: EmbeddedLogReader
    metrics: EmbeddedMetricReader
    kind: str = "embedded store"


def readers_of(settings: Settings) -> Readers | None:
    """What the settings say; None where nothing that can be read is kept."""
    if settings.store is None:
        return None
    from otel_django.backends.embedded import EmbeddedReader
    from otel_django.backends.embedded_logs import EmbeddedLogReader
    from otel_django.backends.embedded_metrics import EmbeddedMetricReader

    path = settings.store
    return Readers(EmbeddedReader(path), EmbeddedLogReader(path), EmbeddedMetricReader(path))
