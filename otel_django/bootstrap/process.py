"""Settings in, a runtime out: the parts of a process and their life."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from otel_django import guard, names
from otel_django.bootstrap import exporters, instrumentations, tracing
from otel_django.bootstrap.governor import Governing
from otel_django.bootstrap.level_signals import LevelSignals
from otel_django.bootstrap.listening import Listening
from otel_django.bootstrap.logs import Logs
from otel_django.bootstrap.metrics import Metrics
from otel_django.bootstrap.observers import Observers
from otel_django.bootstrap.self_observation import SelfObservation
from otel_django.clock import SYSTEM_CLOCK
from otel_django.conf.settings import SIGNALS
from otel_django.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor

    from otel_django.conf import Settings
    from otel_django.contracts import Instrumentation
    from otel_django.log_record import LogRecord
    from otel_django.pipeline.lanes import Lane
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
        self.sinks = self._make_sinks()
        self.metrics = Metrics(self, collecting=collect is not None)
        self.traces = self._make_lane(
            "traces",
            delay_s=settings.bsp_schedule_delay_s,
            batch_size=settings.bsp_max_export_batch_size,
            max_items=settings.bsp_max_queue_size,
        )
        self.logs = self._make_lane(
            "logs",
            delay_s=settings.blrp_schedule_delay_s,
            batch_size=settings.blrp_max_export_batch_size,
            max_items=settings.blrp_max_queue_size,
        )
        self.worker = self._make_worker()
        self.put_log: Callable[[LogRecord], None] = self.logs.put if self.logs.sinks else _nowhere
        """Add a log record."""
        self.provider = self._make_provider()
        self.records = Logs(
            self, self.logs.put if self.logs.sinks else None, collecting=collect is not None
        )
        governing: list[Governing] = []
        if collect is None:
            self.worker.add_polled(self.records)
            if settings.max_overhead > 0:
                governing = [Governing(self)]
                self.worker.add_polled(governing[0])
        self.instrumentations: tuple[Instrumentation, ...] = (
            self.records,
            *governing,
            SelfObservation(self),
            *instrumentations.chosen(settings, self),
            *([Listening()] if collect is None else []),
            *([LevelSignals(self)] if collect is None else []),
            *Observers(self).instrumentations,
        )
        self.hooks = ProcessHooks(
            on_exit=self.shutdown,
            on_fork=self.after_fork,
            limit_s=settings.shutdown_timeout_s + EXIT_MARGIN_S,
        )
        self._ended = False

    # --- parts

    def _make_sinks(self) -> dict[str, tuple[Any, ...]]:
        """By signal; those of metrics are ``MetricSink``s too."""
        if self._collect is not None:
            return dict.fromkeys(SIGNALS, ())
        made = {
            signal: exporters.sinks(self.settings, signal, self.drops, self._pause)
            for signal in SIGNALS
        }
        store = self.settings.store
        if store is not None:
            from otel_django.store.sinks import sinks

            stored = sinks(store, self.settings, self.drops, self._pause)
            made = {signal: (*sinks, *stored[signal]) for signal, sinks in made.items()}
        return made

    def _pause(self) -> None:
        self.worker.pause()

    def _make_lane(
        self, signal: str, *, delay_s: float, batch_size: int, max_items: int | None
    ) -> Lane:
        from otel_django.pipeline.lanes import Lane

        return Lane(
            signal,
            self.sinks[signal],
            delay_s=delay_s,
            batch_size=batch_size,
            max_bytes=self.settings.queue_max_mb << 20,
            max_items=max_items,
            drops=self.drops,
            on_fork=self.after_fork,
        )

    def _make_worker(self) -> Worker:
        from otel_django.pipeline.worker import Worker

        return Worker(
            (self.traces, self.logs),
            self.metrics.polled,
            drops=self.drops,
            clock=SYSTEM_CLOCK,
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
        redactor = Redactor(settings.redact, settings.base_dir)
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
            slow_s=settings.slow_request_s,
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
        return tracing.sampler(self.settings)

    def _pipeline(self) -> Pipeline:
        return self.worker

    def _span_sink(self) -> Callable[[Span], None]:
        if self._collect is not None:
            return self._collect
        # A tracer looks for forks where a local root begins, and no span ends beyond one.
        return self.traces.put_here if self.traces.sinks else _nowhere

    # --- life

    def start(self) -> None:
        """Become the global provider, patch what is instrumented, watch for fork and exit."""
        from opentelemetry import trace

        _logger.setLevel(self.settings.log_level.upper())
        trace.set_tracer_provider(self.provider)
        tracing.set_propagators(self.settings)
        self.install()
        self.hooks.install()
        if self._sends() and self.settings.spool_dir.is_dir():
            self.worker.start()  # somebody who is gone may have left something to send

    def install(self) -> None:
        """Patch what is instrumented; a second call changes nothing."""
        tracer = self.provider.tracer(names.SCOPE, VERSION)
        self.metrics.install(self.instrumentations)
        for instrumentation in self.instrumentations:
            with guard.guarded(f"{type(instrumentation).__name__}.install"):
                instrumentation.install(tracer, self.settings)

    def uninstall(self) -> None:
        """Put back what ``install`` patched."""
        self.metrics.uninstall()
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

    def serving_ends(self) -> None:
        """The server stops and may end the process any moment, but has some words to log first."""
        self.worker.hurry()
        if not self.flush(self.settings.shutdown_timeout_s):
            self.end_soon()

    def keep_all(self) -> None:
        """Put what waits on disk at once: the process may be killed at any moment."""
        self.worker.keep_all()

    def adopt(self) -> None:
        """Send what processes that are gone have left on disk, from now on."""
        if self._sends() and self._collect is None:
            self.worker.start()

    def _sends(self) -> bool:
        """Whether anything leaves by OTLP, so that some may be left on disk."""
        settings = self.settings
        named = (settings.traces_exporters, settings.metrics_exporters, settings.logs_exporters)
        return any("otlp" in names for names in named)

    def after_fork(self) -> None:
        """In a forked child (from the hook, or from the queue where hooks don't run: uWSGI)."""
        with guard.guarded("after_fork"):
            self._ended = False
            self.drops.after_fork()
            self.provider._handle_fork()
            self.metrics.after_fork()
            self.worker.after_fork()

    def stop(self) -> None:
        """Undo ``start`` as far as can be: the API keeps its provider for good."""
        self.uninstall()
        self.hooks.uninstall()
        self.shutdown()


def _nowhere(item: object) -> None:
    """No exporter and no store: users' processors may still want the spans."""
