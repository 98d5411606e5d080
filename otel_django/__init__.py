"""OpenTelemetry observability for Django: traces from one line in ``INSTALLED_APPS``."""

from __future__ import annotations

import sys

from otel_django import version
from otel_django.manual import span, traced
from otel_django.manual_logs import event, get_logger
from otel_django.manual_metrics import counter, gauge, histogram, up_down_counter

__version__ = version.VERSION

__all__ = [
    "__version__",
    "counter",
    "current_trace_id",
    "event",
    "gauge",
    "get_logger",
    "histogram",
    "span",
    "traced",
    "up_down_counter",
]


def current_trace_id() -> str | None:
    """The id of the trace that is current here, 32 hexadecimal digits; None outside any."""
    if "opentelemetry.trace" not in sys.modules:
        return None  # nobody traces in this process: no reason to load it
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None
