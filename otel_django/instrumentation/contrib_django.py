"""OpenTelemetry's own Django instrumentation in place of ours (``OTEL_DJANGO_INSTRUMENTATION``).

Queries, cache, pipeline and provider stay this package's; the request's span is upstream's, with
its attributes and its cost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_django.instrumentation import semconv_opt_in

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.tracing.tracer import Tracer


class ContribDjangoInstrumentation:
    """Switches ``DjangoInstrumentor`` on and off."""

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Put upstream's middleware in front, as it does itself; a second call changes nothing."""
        semconv_opt_in.opt_in(settings.semconv_opt_in)
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
