"""An exporter of somebody else's (console, Zipkin, …) as a sink of the worker thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from otel_django import guard

if TYPE_CHECKING:
    from otel_django.pipeline.drops import Drops


class ExporterSink:
    """Gives each batch to ``exporter``; what it refuses is counted as ``rejected``.

    For spans; other signals say what of theirs the exporter is given, and how it is counted.
    """

    signal = "traces"

    def __init__(self, exporter: Any, drops: Drops) -> None:
        self._exporter = exporter
        self._drops = drops

    def converted(self, batch: Sequence[Any]) -> Any:
        """What the exporter is given."""
        return batch

    def count(self, batch: Sequence[Any]) -> int:
        """How many items it has."""
        return len(batch)

    def accept(self, batch: Sequence[Any]) -> None:
        """Export on the worker thread."""
        try:
            result = self._exporter.export(self.converted(batch))
        except Exception:
            guard.caught(f"{type(self._exporter).__name__}.export")
        else:
            if result.value == 0:
                return
        self._drops.add(self.signal, "rejected", self.count(batch))

    def spill(self, batch: Sequence[Any]) -> None:
        """There is nowhere to keep it."""
        self._drops.add(self.signal, "queue_full", self.count(batch))

    def hold(self) -> None:
        """There is nowhere to keep anything."""

    def poll(self, now_s: float) -> None:
        """Nothing periodic."""

    def flush(self, deadline_s: float) -> bool:
        """Nothing is held here."""
        return True

    def close(self, deadline_s: float) -> None:
        """Shut the exporter down."""
        self._exporter.shutdown()

    def after_fork(self) -> None:
        """The exporter's own affair."""
