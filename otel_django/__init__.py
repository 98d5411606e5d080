"""OpenTelemetry observability for Django: traces from one line in ``INSTALLED_APPS``."""

from __future__ import annotations

from otel_django import version

__version__ = version.VERSION

__all__ = ["__version__", "current_trace_id"]


def current_trace_id() -> str | None:
    """The id of the trace that is current here, 32 hexadecimal digits; None outside any."""
    from otel_django.tracing import current

    return current.trace_id()
