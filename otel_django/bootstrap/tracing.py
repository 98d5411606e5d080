"""What the tracer provider of a process is made of, by its settings."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from otel_django import guard

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.tracing.samplers import HeadSampler

_logger = logging.getLogger(guard.LOGGER_NAME)


def set_propagators(settings: Settings) -> None:
    """Make Django's settings count for outgoing calls; the API reads the environment itself."""
    origin = settings.origins.get("propagators")
    if origin is None or origin.place != "settings":
        return
    from opentelemetry.propagate import set_global_textmap
    from opentelemetry.propagators.composite import CompositePropagator

    from otel_django.tracing.propagation import load_propagators

    set_global_textmap(CompositePropagator(load_propagators(settings.propagators)))


def sampler(settings: Settings) -> HeadSampler:
    """That of ``OTEL_TRACES_SAMPLER``; one that can't be used is said and does without."""
    from otel_django.tracing.samplers import SAMPLER_NAMES, Custom, sampler_from

    if settings.traces_sampler in SAMPLER_NAMES:
        return sampler_from(settings.traces_sampler, settings.traces_sampler_arg)
    from importlib.metadata import entry_points

    name = settings.traces_sampler
    try:
        for entry in entry_points(group="opentelemetry_traces_sampler", name=name):
            return Custom(entry.load()(str(settings.traces_sampler_arg)))
    except Exception as error:
        _logger.warning("The sampler %r can't be used: %s", name, error)
        guard.caught(f"sampler {name}")
    return sampler_from("parentbased_always_on", 1.0)
