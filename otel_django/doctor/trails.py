"""Where each signal's probe should come to light, by the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_django.backends.read_from import ReadFrom
from otel_django.doctor.following import Trail, log_trail, metric_trail, trace_trail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_django.conf import Settings
    from otel_django.doctor.probe import Probe

BACKENDS: Final = {"traces": "Jaeger", "logs": "Loki", "metrics": "Prometheus"}
"""By signal: the backend that shows it."""


def trails(settings: Settings, probe: Probe) -> Iterator[Trail]:
    """Those backends that ``OTEL_DJANGO_READ_FROM`` names."""
    source = ReadFrom(settings)
    variable = settings.origins["read_from"].variable
    if "jaeger" in settings.read_from:
        yield trace_trail(probe, source.traces(), BACKENDS["traces"], variable)
    if "loki" in settings.read_from:
        yield log_trail(probe, source.logs(), BACKENDS["logs"], variable)
    if "prometheus" in settings.read_from:
        yield metric_trail(probe, source.metrics(), BACKENDS["metrics"], variable)
