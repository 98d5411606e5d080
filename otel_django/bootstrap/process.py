"""Settings in, a runtime out: the parts of a process and their life."""

from __future__ import annotations

import logging
import random
from dataclasses import replace
from typing import TYPE_CHECKING

from otel_django import guard, names
from otel_django.bootstrap import exporters, instrumentations
from otel_django.clock import SYSTEM_CLOCK
from otel_django.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor

    from otel_django.conf import Settings
    from otel_django.contracts import Sink
    from otel_django.pipeline.worker import Worker
    from otel_django.tracing.provider import Pipeline, TracerProvider
    from otel_django.tracing.samplers import HeadSampler
    from otel_django.tracing.span import Span

_logger = logging.getLogger(guard.LOGGER_NAME)
SOON_S = 0.25
EXIT_MARGIN_S = 3.0
"""Beyond ``OTEL_DJANGO_SHUTDOWN_TIMEOUT``, for the user's own span processors."""


class Runtime:
    """Everything that is running in this process.

    With ``collect`` ended spans go there and nowhere else: no thread, file or socket.
    ``provider`` is the global tracer provider; ``drops`` counts what was lost, by cause.
    """

    def __init__(self, settings: Settings, collect: Callable[[Span], None] | None = None) -> None:
        from otel_django.pipeline.drops import Drops
        from otel_django.pipeline.processes import ProcessHooks

        self.settings = settings
        self.drops = Drops()
        self._collect = collect
        self.sinks = self._make_sinks() if collect is None else ()
        self.worker = self._make_worker()
        for sink in self.sinks:
            if hasattr(sink, "on_wait"):
                sink.on_wait = self.worker.drain_into_sinks
        self.provider = self._make_provider()
        self.instrumentations = instrumentations.chosen(settings, self)
        self.hooks = ProcessHooks(
            on_exit=self.shutdown,
            on_fork=self.after_fork,
            limit_s=settings.shutdown_timeout_s + EXIT_MARGIN_S,
        )
        self._ended = False

    # --- parts

    def _make_sinks(self) -> tuple[Sink, ...]:
        sinks = [sink for name in self.settings.traces_exporters for sink in self._exporter(name)]
        if self.settings.store is not None:
            from otel_django.store.writer import StoreWriter

            sinks.append(
                StoreWriter(
                    self.settings.store,
                    retention_hours=self.settings.store_retention_hours,
                    max_mb=self.settings.store_max_mb,
                    drops=self.drops,
                    clock=SYSTEM_CLOCK,
                    pause=self._pause,
                )
            )
        return tuple(sinks)

    def _exporter(self, name: str) -> list[Sink]:
        """The sink of one name in ``OTEL_TRACES_EXPORTER``; a failing one is left out and said."""
        try:
            if name == "otlp":
                return [self._otlp_sender()]
            return [exporters.foreign(name, self.drops)]
        except Exception as error:
            _logger.warning("The exporter %r can't be used: %s", name, error)
            guard.caught(f"exporter {name}")
            return []

    def _otlp_sender(self) -> Sink:
        from otel_django.host_environment import current_process
        from otel_django.pipeline.otlp_trace import encode_request
        from otel_django.pipeline.sender import OtlpSender
        from otel_django.pipeline.spool import Spool

        settings = self.settings
        timeout_s = min(settings.otlp_traces.timeout_s, settings.bsp_export_timeout_s)
        return OtlpSender(
            replace(settings.otlp_traces, timeout_s=timeout_s),
            transport=exporters.transport(settings),
            spool=Spool(settings.spool_dir, max_bytes=settings.spool_max_mb << 20),
            encode=lambda batch: encode_request(
                batch, self._pause, failed=lambda _: self.drops.add("traces", "encode_error", 1)
            ),
            drops=self.drops,
            clock=SYSTEM_CLOCK,
            rng=random.Random(),  # noqa: S311 - jitter, no secret
            max_items=settings.bsp_max_export_batch_size,
            # One that soon ends may be all that runs on this host: it has no time to wait.
            adopt_first_s=0.0 if current_process().kind == "command" else None,
        )

    def _pause(self) -> None:
        self.worker.pause()

    def _make_worker(self) -> Worker:
        from otel_django.pipeline.worker import Worker

        settings = self.settings
        return Worker(
            self.sinks,
            delay_s=settings.bsp_schedule_delay_s,
            batch_size=settings.bsp_max_export_batch_size,
            max_bytes=settings.queue_max_mb << 20,
            max_items=settings.bsp_max_queue_size,
            drops=self.drops,
            clock=SYSTEM_CLOCK,
            on_fork=self.after_fork,
        )

    def _make_provider(self) -> TracerProvider:
        from otel_django.instrumentation.sql import without_values
        from otel_django.tracing import old_names
        from otel_django.tracing.exceptions import ExceptionFormatter
        from otel_django.tracing.limits import Normaliser
        from otel_django.tracing.local_trace import KeepPolicy
        from otel_django.tracing.provider import TracerProvider
        from otel_django.tracing.redaction import Redactor

        settings = self.settings
        redactor = Redactor(settings.redact)
        provider = TracerProvider(
            resource=self._resource(),
            sampler=self._sampler(),
            normaliser=Normaliser(redactor, settings.span_limits, without_values),
            exceptions=ExceptionFormatter(redactor, settings.base_dir),
            sink=self._span_sink(),
            keep=KeepPolicy(
                errors="errors" in settings.keep,
                slow="slow" in settings.keep,
                slow_s=settings.slow_request_s,
            )
            if settings.keep
            else None,
            exception_events=settings.exception_events,
            child_resource=self._resource_in_child,
            pipeline=self._pipeline(),
            on_fork=self.after_fork,
            on_drop=lambda count: self.drops.add("traces", "keep_full", count),
            shutdown_timeout_s=settings.shutdown_timeout_s,
        )
        if old_names.wanted(settings.semconv_opt_in):
            provider.add_span_processor(old_names.OldNames(settings.semconv_opt_in))
        return provider

    def _resource(self) -> Resource:
        from otel_django.tracing.resource import build_resource

        settings = self.settings
        return build_resource(
            settings.service_name, settings.resource_attributes, settings.base_dir
        )

    def _resource_in_child(self, resource: Resource) -> Resource:
        from otel_django.tracing.resource import in_child

        return in_child(resource, self.settings.resource_attributes.get("service.instance.id"))

    def _sampler(self) -> HeadSampler:
        return _sampler(self.settings)

    def _pipeline(self) -> Pipeline:
        return self.worker

    def _span_sink(self) -> Callable[[Span], None]:
        if self._collect is not None:
            return self._collect
        return self.worker.put if self.sinks else _nowhere

    # --- life

    def start(self) -> None:
        """Become the global provider, patch what is instrumented, watch for fork and exit."""
        from opentelemetry import trace

        _logger.setLevel(self.settings.log_level.upper())
        trace.set_tracer_provider(self.provider)
        _set_propagators(self.settings)
        self.install()
        self.hooks.install()
        if "otlp" in self.settings.traces_exporters and self.settings.spool_dir.is_dir():
            self.worker.start()  # somebody who is gone may have left something to send

    def install(self) -> None:
        """Patch what is instrumented; a second call changes nothing."""
        tracer = self.provider.tracer(names.SCOPE, VERSION)
        for instrumentation in self.instrumentations:
            with guard.guarded(f"{type(instrumentation).__name__}.install"):
                instrumentation.install(tracer, self.settings)

    def uninstall(self) -> None:
        """Put back what ``install`` patched."""
        for instrumentation in reversed(self.instrumentations):
            with guard.guarded(f"{type(instrumentation).__name__}.uninstall"):
                instrumentation.uninstall()

    def add_span_processor(self, processor: SpanProcessor) -> None:
        """Have ``processor`` told of every span of this process."""
        self.provider.add_span_processor(processor)

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Everything that ended before this call is sent or stored; False when time ran out."""
        return self.provider.force_flush(int(timeout_s * 1000))

    def shutdown(self) -> None:
        """Flush within ``OTEL_DJANGO_SHUTDOWN_TIMEOUT`` and stop the thread; patches stay."""
        if self._ended:
            return
        self._ended = True
        for instrumentation in self.instrumentations:
            if hasattr(instrumentation, "process_ends"):
                with guard.guarded(f"{type(instrumentation).__name__}.process_ends"):
                    instrumentation.process_ends()
        with guard.guarded("shutdown"):
            self.provider.shutdown()

    def end_soon(self) -> None:
        """``shutdown`` for a process that another waits for: to disk first, then a short try."""
        self.keep_all()
        self.provider.shutdown_timeout_s = min(self.provider.shutdown_timeout_s, SOON_S)
        self.shutdown()

    def keep_all(self) -> None:
        """Put what waits on disk at once: the process may be killed at any moment."""
        self.worker.keep_all()

    def adopt(self) -> None:
        """Send what processes that are gone have left on disk, from now on."""
        if "otlp" in self.settings.traces_exporters and self.sinks:
            self.worker.start()

    def after_fork(self) -> None:
        """In a forked child (from the hook, or from the queue where hooks don't run: uWSGI)."""
        with guard.guarded("after_fork"):
            self._ended = False
            self.drops.after_fork()
            self.provider._handle_fork()
            self.worker.after_fork()

    def stop(self) -> None:
        """Undo ``start`` as far as can be: the API keeps its provider for good."""
        self.uninstall()
        self.hooks.uninstall()
        self.shutdown()


def _nowhere(span: object) -> None:
    """No exporter and no store: users' processors may still want the spans."""


def _set_propagators(settings: Settings) -> None:
    """Make Django's settings count for outgoing calls; the API reads the environment itself."""
    origin = settings.origins.get("propagators")
    if origin is None or origin.place != "settings":
        return
    from opentelemetry.propagate import set_global_textmap
    from opentelemetry.propagators.composite import CompositePropagator

    from otel_django.tracing.propagation import load_propagators

    set_global_textmap(CompositePropagator(load_propagators(settings.propagators)))


def _sampler(settings: Settings) -> HeadSampler:
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
