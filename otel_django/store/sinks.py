"""One sink a signal, of one file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_django.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from otel_django.conf import Settings
    from otel_django.pipeline.drops import Drops


def sinks(
    path: Path, settings: Settings, drops: Drops, pause: Callable[[], None]
) -> dict[str, tuple[Any, ...]]:
    """By signal, for the store at ``path``."""
    from otel_django.store.metric_writer import MetricWriter
    from otel_django.store.writer import LogWriter, StoreWriter

    spans = StoreWriter(
        path,
        retention_hours=settings.store_retention_hours,
        max_mb=settings.store_max_mb,
        drops=drops,
        clock=SYSTEM_CLOCK,
        pause=pause,
        metrics_retention_hours=settings.metrics_retention_hours,
    )
    return {
        "traces": (spans,),
        "metrics": (MetricWriter(spans.file, drops=drops, clock=SYSTEM_CLOCK, pause=pause),),
        "logs": (LogWriter(spans.file, drops=drops, clock=SYSTEM_CLOCK, pause=pause),),
    }
