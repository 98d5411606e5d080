"""OpenTelemetry's own Celery instrumentation in place of ours (``OTEL_DJANGO_INSTRUMENTATION``)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from otel_django.instrumentation.on_import import when_imported

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.tracing.tracer import Tracer


class ContribCeleryInstrumentation:
    """Switches ``CeleryInstrumentor`` on, once Celery is imported, and off."""

    def __init__(self) -> None:
        self._take_back: Callable[[], None] | None = None

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Connect upstream's signal handlers; a second call changes nothing."""

        def switch_on() -> None:
            from opentelemetry.instrumentation.celery import CeleryInstrumentor

            instrumentor = CeleryInstrumentor()  # type: ignore[no-untyped-call]
            if not instrumentor.is_instrumented_by_opentelemetry:
                instrumentor.instrument(tracer_provider=tracer.provider)

        if self._take_back is None:
            # Not celery.app.base: upstream imports celery.app.task, which an unfinished celery.app
            # would not keep as its attribute, and workers of Celery 5.3 look for it there.
            self._take_back = when_imported("celery.app", switch_on)

    def uninstall(self) -> None:
        """Disconnect them."""
        if self._take_back is None:
            return
        self._take_back()
        self._take_back = None
        if "opentelemetry.instrumentation.celery" in sys.modules:
            from opentelemetry.instrumentation.celery import CeleryInstrumentor

            instrumentor = CeleryInstrumentor()  # type: ignore[no-untyped-call]
            if instrumentor.is_instrumented_by_opentelemetry:
                instrumentor.uninstrument()
