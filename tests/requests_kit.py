"""Requests against the test site, with the spans they left."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource

from otel_django import conf, guard
from otel_django.conf import SpanLimitSettings
from otel_django.instrumentation.http_server import HttpServerInstrumentation
from otel_django.metrics.recorder import Recorder
from otel_django.tracing.exceptions import ExceptionFormatter
from otel_django.tracing.limits import Normaliser
from otel_django.tracing.provider import TracerProvider
from otel_django.tracing.redaction import Redactor
from otel_django.tracing.samplers import sampler_from
from otel_django.tracing.span import Span


@dataclass
class Traced:
    """A tracer whose ended spans pile up in ``spans``."""

    settings: conf.Settings
    provider: TracerProvider
    spans: list[Span] = field(default_factory=list)

    @property
    def span(self) -> Span:
        """The only span there is."""
        assert len(self.spans) == 1, [span._name for span in self.spans]
        return self.spans[0]

    @property
    def attributes(self) -> dict[str, Any]:
        """The only span's attributes."""
        attributes: dict[str, Any] = self.span._attributes
        return attributes


def settings(**changes: Any) -> conf.Settings:
    """The default settings, changed."""
    return dataclasses.replace(
        conf.load({}, {}, base_dir=None, debug=False, settings_module=None), **changes
    )


def make_traced(chosen: conf.Settings, sampler: str = "parentbased_always_on") -> Traced:
    """A provider of its own, not the global one."""
    redactor = Redactor(chosen.redact)
    spans: list[Span] = []
    provider = TracerProvider(
        resource=Resource.create({"service.name": "tests"}),
        sampler=sampler_from(sampler, chosen.traces_sampler_arg),
        normaliser=Normaliser(
            redactor, SpanLimitSettings(value_length=chosen.span_limits.value_length)
        ),
        exceptions=ExceptionFormatter(redactor, None),
        sink=spans.append,
        exception_events=chosen.exception_events,
    )
    return Traced(chosen, provider, spans)


@contextmanager
def traced_requests(
    sampler: str = "parentbased_always_on", recorder: Recorder | None = None, **changes: Any
) -> Iterator[Traced]:
    """The handlers patched for the block; no fault of ours may have been swallowed in it."""
    traced = make_traced(settings(**changes), sampler)
    instrumentation = HttpServerInstrumentation()
    if recorder is not None:
        instrumentation.measure_with(recorder)
    before = guard.faults()
    guard.set_strict(True)
    instrumentation.install(traced.provider.tracer("otel_django"), traced.settings)
    try:
        yield traced
    finally:
        instrumentation.uninstall()
    assert guard.faults() == before
    assert not trace.get_current_span().get_span_context().is_valid
