"""Celery: spans for publishing and running tasks, in one trace across processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from otel_django.instrumentation.on_import import when_imported
from otel_django.instrumentation.patching import Patches

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.contracts import ProcessLife
    from otel_django.metrics.recorder import Recorder
    from otel_django.tracing.tracer import Tracer


class CeleryInstrumentation:
    """Waits until Celery is imported, which it doesn't do itself.

    ``life`` is the process's: what a worker and its children ask of it at their ends.
    """

    def __init__(self, life: ProcessLife) -> None:
        self._life = life
        self._patches = Patches()
        self._undoing: list[Callable[[], None]] = []
        self._recorder: Recorder | None = None

    def measure_with(self, recorder: Recorder) -> None:
        """Measure tasks, too, from the next ``install`` on."""
        self._recorder = recorder

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Patch now or when Celery is imported; a second call changes nothing."""
        if self._undoing:
            return

        def trace() -> None:
            from otel_django.instrumentation import (
                celery_execution,
                celery_life,
                celery_metrics,
                celery_publish,
                celery_worker,
                task_events,
            )

            recorder = self._recorder
            metrics = None if recorder is None else celery_metrics.TaskMetrics(recorder)
            executions = celery_execution.Executions(tracer, settings, metrics)
            self._undoing.append(celery_publish.install(tracer, settings, self._patches, metrics))
            self._undoing.append(celery_execution.install(executions, self._patches))
            self._undoing.append(celery_worker.install(executions, self._patches))
            self._undoing.append(celery_life.install(self._life))
            told_here = celery_execution.is_running
            self._undoing.append(task_events.replace_celerys_lines(told_here))

        self._undoing.append(when_imported("celery.app.base", trace))

    def uninstall(self) -> None:
        """Put back what was patched."""
        while self._undoing:
            self._undoing.pop()()
        self._patches.undo()
