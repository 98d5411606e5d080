"""Where each signal's probe should come to light, by the settings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from otel_django import host_environment
from otel_django.backends.read_from import ReadFrom
from otel_django.doctor.following import Trail, log_trail, metric_trail, trace_trail
from otel_django.doctor.target import place_of
from otel_django.pipeline.proxy import proxy_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_django.conf import Settings
    from otel_django.doctor.probe import Probe

BACKENDS: Final = {"traces": "Jaeger", "logs": "Loki", "metrics": "Prometheus"}
"""By signal: the backend that shows it."""
ANSWER_S: Final = 5.0


def trails(settings: Settings, probe: Probe) -> Iterator[Trail]:
    """Those backends that ``OTEL_DJANGO_READ_FROM`` names, each asked for a few seconds at most."""
    soon = min(settings.read_from_timeout_s, ANSWER_S)
    source = ReadFrom(replace(settings, read_from_timeout_s=soon))
    variable = settings.origins["read_from"].variable
    named = settings.read_from
    if "jaeger" in named:
        trail = trace_trail(probe, source.traces(), BACKENDS["traces"], variable)
        yield _told(trail, named["jaeger"], settings)
    if "loki" in named:
        trail = log_trail(probe, source.logs(), BACKENDS["logs"], variable)
        yield _told(trail, named["loki"], settings)
    if "prometheus" in named:
        trail = metric_trail(probe, source.metrics(), BACKENDS["metrics"], variable)
        yield _told(trail, named["prometheus"], settings)


def _told(trail: Trail, url: str, settings: Settings) -> Trail:
    """With what its findings need to know of the way."""
    proxy = proxy_for(url, host_environment.proxy_variables())
    tenanted = settings.read_from_tenant and trail.place != "Jaeger"
    return replace(
        trail,
        host=urlsplit(url).hostname or "",
        proxy=place_of(proxy) if proxy else "",
        tenant=settings.origins["read_from_tenant"].variable if tenanted else "",
    )
