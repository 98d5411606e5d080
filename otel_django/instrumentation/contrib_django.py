"""OpenTelemetry's own Django instrumentation in place of ours (``OTEL_DJANGO_INSTRUMENTATION``).

Queries, cache, pipeline and provider stay this package's; the request's span is upstream's, with
its attributes and its cost.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.tracing.tracer import Tracer

STABLE_NAMES = "http,database"


class ContribDjangoInstrumentation:
    """Switches ``DjangoInstrumentor`` on and off."""

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Put upstream's middleware in front, as it does itself; a second call changes nothing."""
        # Upstream reads the choice of names from the environment, once, when it is switched on.
        os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", STABLE_NAMES)
        from opentelemetry.instrumentation.django import DjangoInstrumentor

        instrumentor = DjangoInstrumentor()
        if not instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.instrument(tracer_provider=tracer.provider)

    def uninstall(self) -> None:
        """Take the middleware out again."""
        from opentelemetry.instrumentation.django import DjangoInstrumentor

        instrumentor = DjangoInstrumentor()
        if instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.uninstrument()
