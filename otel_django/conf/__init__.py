"""Settings: one frozen dataclass, and the only reader of the environment and of django.conf.

Each value comes from the environment, else from ``settings.OTEL_DJANGO``, else it is the default.
A value that can't be used counts as not set and leaves a ``Problem``, which the system checks show.
"""

from __future__ import annotations

from otel_django.conf.load import from_django, load, no_color
from otel_django.conf.otlp import OtlpSettings
from otel_django.conf.settings import Settings, SpanLimitSettings
from otel_django.conf.sources import Origin, Problem

__all__ = [
    "Origin",
    "OtlpSettings",
    "Problem",
    "Settings",
    "SpanLimitSettings",
    "from_django",
    "load",
    "no_color",
]
