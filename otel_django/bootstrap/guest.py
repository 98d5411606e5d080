"""Guest mode: a tracer provider was set up before us, and our instrumentation records on it.

Spans of ours keep their own class and tracer, on a provider that isn't the global one; when they
begin and end the host's processors are told. So what leaves of them, where to and how much is the
host's business. Metrics and log records leave as they do elsewhere, unless the host has a provider
for them, too. Where nothing leaves there is no queue, thread or spool of ours; and never a store,
which would lack the traces.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from otel_django import guard, names
from otel_django.bootstrap.process import Runtime
from otel_django.tracing import current, host, in_charge
from otel_django.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider

    from otel_django.conf import Settings
    from otel_django.tracing.provider import Pipeline, TracerProvider
    from otel_django.tracing.samplers import HeadSampler
    from otel_django.tracing.span import Span

_logger = logging.getLogger(guard.LOGGER_NAME)


class GuestRuntime(Runtime):
    """What runs in a process that has another provider, its ``host``.

    With ``collect`` our own spans go there and not to the host.
    """

    def __init__(
        self,
        settings: Settings,
        host_provider: SdkTracerProvider,
        collect: Callable[[Span], None] | None = None,
    ) -> None:
        from otel_django.tracing.stand_ins import StandIns

        self.host = host_provider
        super().__init__(_as_guest(settings, host_provider), collect)
        self._stand_ins = StandIns(self.provider.tracer(names.SCOPE, VERSION))
        self.host.add_span_processor(self._stand_ins)

    def _make_provider(self) -> TracerProvider:
        provider = super()._make_provider()
        provider.id_generator = host.ids_of(self.host)
        if self._collect is None:
            provider.add_span_processor(host.HandOver(self.host))
        return provider

    def _resource(self) -> Resource:
        return self.host.resource

    def _resource_in_child(self, resource: Resource) -> Resource:
        return self.host.resource

    def _sampler(self) -> HeadSampler:
        from otel_django.tracing.samplers import Custom

        return super()._sampler() if self._collect is not None else Custom(self.host.sampler)

    def _pipeline(self) -> Pipeline:
        theirs = host.HostPipeline(self.host)
        if self.metrics.host is None and not any(self.sinks.values()):
            return theirs
        return _Both(self.worker, theirs)

    def start(self) -> None:
        """Patch what is instrumented, watch for fork and exit."""
        _logger.setLevel(self.settings.log_level.upper())
        _logger.warning(
            "%s was set up before otel_django, which records on it as a guest: its sampler, limits "
            "and exporters count, those of otel_django don't.",
            in_charge.describe(self.host),
        )
        self.install()
        self.hooks.install()
        if self.settings.spool_dir.is_dir():
            self.adopt()

    def install(self) -> None:
        """Patch what is instrumented; a second call changes nothing."""
        self._stand_ins.active = True
        current.set_stand_ins(self._stand_ins.get)
        super().install()

    def uninstall(self) -> None:
        """Put back what ``install`` patched."""
        super().uninstall()
        current.set_stand_ins(None)
        self._stand_ins.active = False

    def add_span_processor(self, processor: SpanProcessor) -> None:
        """Have ``processor`` told of the host's spans and of ours, which the host is told of."""
        self.host.add_span_processor(processor)


class _Both:
    """Ours first: the host flushes once more at the end of the process."""

    def __init__(self, ours: Pipeline, theirs: Pipeline) -> None:
        self._ours = ours
        self._theirs = theirs

    def flush(self, timeout_s: float) -> bool:
        """Both, one after the other."""
        until_s = time.monotonic() + timeout_s
        done = self._ours.flush(timeout_s)
        return self._theirs.flush(max(until_s - time.monotonic(), 0.0)) and done

    def shutdown(self, timeout_s: float) -> bool:
        """Both, one after the other."""
        until_s = time.monotonic() + timeout_s
        done = self._ours.shutdown(timeout_s)
        return self._theirs.shutdown(max(until_s - time.monotonic(), 0.0)) and done


def _as_guest(settings: Settings, host_provider: SdkTracerProvider) -> Settings:
    theirs = in_charge.others_signals()
    return replace(
        settings,
        traces_exporters=(),
        metrics_exporters=() if "metrics" in theirs else settings.metrics_exporters,
        logs_exporters=() if "logs" in theirs else settings.logs_exporters,
        store=None,
        keep=frozenset(),
        max_overhead=0.0,
        span_limits=host.limits_of(host_provider),
    )
