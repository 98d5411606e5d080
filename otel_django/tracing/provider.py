"""The tracer provider: the SDK's to everybody who asks, with our tracer and span inside."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.sdk.trace import SpanLimits as SdkSpanLimits
from opentelemetry.sdk.trace import SpanProcessor, _TracerConfig
from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationInfo, InstrumentationScope

from otel_django import guard
from otel_django.tracing.ids import RandomIds
from otel_django.tracing.tracer import Tracer

if TYPE_CHECKING:
    from opentelemetry import trace as trace_api
    from opentelemetry.context import Context
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.util.types import Attributes

    from otel_django.tracing.exceptions import ExceptionFormatter
    from otel_django.tracing.limits import Normaliser
    from otel_django.tracing.local_trace import KeepPolicy
    from otel_django.tracing.samplers import HeadSampler
    from otel_django.tracing.span import Span
    from otel_django.tracing.thinning import Thinning


class Pipeline(Protocol):
    """What the provider's own ``force_flush`` and ``shutdown`` reach."""

    def flush(self, timeout_s: float) -> bool:
        """Hand on what ended before; False when time runs out."""
        ...

    def shutdown(self, timeout_s: float) -> bool:
        """Flush and stop."""
        ...


class TracerProvider(SdkTracerProvider):
    """Gives tracers whose spans go to ``sink`` when they end.

    Span processors of the user's are called as the SDK calls its own: ``on_start`` and ``on_end``
    on the thread that runs the span. A fault in one never reaches the site.
    """

    id_generator: RandomIds
    sampler: HeadSampler

    def __init__(
        self,
        *,
        resource: Resource,
        sampler: HeadSampler,
        normaliser: Normaliser,
        exceptions: ExceptionFormatter,
        sink: Callable[[Span], None],
        keep: KeepPolicy | None = None,
        exception_events: bool = True,
        child_resource: Callable[[Resource], Resource] | None = None,
        pipeline: Pipeline | None = None,
        on_fork: Callable[[], None] | None = None,
        on_drop: Callable[[int], None] | None = None,
        shutdown_timeout_s: float = 2.0,
        slow_s: float = 0.5,
    ) -> None:
        limits = normaliser.limits
        self.normaliser = normaliser
        self.exceptions = exceptions
        self.exception_events = exception_events
        self.keep = keep
        self.thinning: Thinning | None = None
        self.slow_ns = int(slow_s * 1e9)
        self.generation = 0
        self.processors: tuple[SpanProcessor, ...] = ()
        self._covered: dict[str, Callable[[], bool]] = {}
        self.sink = sink
        self._child_resource = child_resource
        self._pipeline = pipeline
        self.shutdown_timeout_s = shutdown_timeout_s
        self.pid = os.getpid()
        self._on_fork = on_fork
        self._on_drop = on_drop
        self._keep_lock = threading.Lock()
        self.write_lock = threading.RLock()
        """For what few spans have (events, links, counts): several threads may write one span."""
        super().__init__(
            sampler=sampler,
            resource=resource,
            shutdown_on_exit=False,
            id_generator=RandomIds(),
            span_limits=SdkSpanLimits(
                max_attributes=limits.attributes,
                max_events=limits.events,
                max_links=limits.links,
                max_event_attributes=limits.event_attributes,
                max_link_attributes=limits.link_attributes,
                max_attribute_length=limits.value_length,
            ),
        )
        self._disabled = False  # the settings decide, before a provider is made

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> trace_api.Tracer:
        """The tracer of a scope; equal scopes get the same one."""
        return self.tracer(
            instrumenting_module_name or "", instrumenting_library_version, schema_url, attributes
        )

    def tracer(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> Tracer:
        """As ``get_tracer``, typed as our own."""
        scope = InstrumentationScope(name, version or "", schema_url, attributes)
        with self._tracers_lock:
            tracers: dict[InstrumentationScope, Any] = self._tracers
            tracer: Tracer | None = tracers.get(scope)
            if tracer is None:
                config: _TracerConfig = self._apply_tracer_configurator(scope)
                with warnings.catch_warnings():  # deprecated, but part of a ReadableSpan
                    warnings.simplefilter("ignore", DeprecationWarning)
                    info = InstrumentationInfo(name, version or "", schema_url)
                tracer = Tracer(self, scope, info, enabled=config.is_enabled)
                tracer.inside = self._covered.get(name)
                tracers[scope] = tracer
        return tracer

    def cover(self, names: Collection[str], inside: Callable[[], bool] | None) -> None:
        """Drop spans that scopes of these names start while ``inside()``; None: keep all again.

        For the commands of an operation that has its own span, whoever instrumented the client.
        """
        with self._tracers_lock:
            for name in names:
                if inside is None:
                    self._covered.pop(name, None)
                else:
                    self._covered[name] = inside
            tracers: dict[InstrumentationScope, Any] = self._tracers
            for scope, tracer in tracers.items():
                if scope.name in names:
                    tracer.inside = inside

    def thin(self, thinning: Thinning | None) -> None:
        """Thin out traces that begin from now on; None: none any more."""
        with self._tracers_lock:
            if thinning is not None:
                self.slow_ns = thinning.slow_ns
            self.thinning = thinning
            tracers: dict[InstrumentationScope, Any] = self._tracers
            for tracer in tracers.values():
                tracer.thinning = thinning

    # --- a span's life

    def started(self, span: Span, context: Context | None) -> None:
        """Tell the user's processors that ``span`` began."""
        for processor in self.processors:
            try:
                processor.on_start(span, context)  # type: ignore[arg-type]
            except Exception:
                guard.caught(f"{type(processor).__name__}.on_start")

    def ending(self, span: Span, end_time: int) -> None:
        """Last changes by processors, then the end."""
        for processor in self.processors:
            try:
                processor._on_ending(span)  # type: ignore[arg-type]
            except Exception:
                guard.caught(f"{type(processor).__name__}._on_ending")
        span._end_time = end_time
        for processor in self.processors:
            try:
                processor.on_end(span)
            except Exception:
                guard.caught(f"{type(processor).__name__}.on_end")

    def emit(self, span: Span) -> None:
        """Hand an ended span on, now or when its local root has ended (``KeepPolicy``)."""
        local = span._local
        if local.generation != self.generation:
            return  # began before a fork: the parent process ends it
        keep = self.keep
        if keep is None:
            if not local.discarded:
                self.sink(span)
            return
        with self._keep_lock:  # spans of one trace may end on several threads
            leaving = keep.hold(local, span)
            lost = local.overflow if local.raised else 0
            local.overflow -= lost
        if lost and self._on_drop is not None:
            self._on_drop(lost)
        for each in leaving:
            self.sink(each)

    def relinquish(self, root: Span) -> None:
        """``Span.relinquish``: let go of what waited for the root's end."""
        local = root._local
        if self.keep is None or local.generation != self.generation:
            return
        with self._keep_lock:
            leaving = self.keep.relinquish(local, root)
        for each in leaving:
            self.sink(each)

    # --- processors, flush, fork

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Add a processor of the user's, called in the order of adding."""
        super().add_span_processor(span_processor)
        self.processors = (*self.processors, span_processor)
        with self._tracers_lock:
            tracers: dict[InstrumentationScope, Any] = self._tracers
            for tracer in tracers.values():
                tracer.processors = self.processors
                tracer.straight = None

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Everything that ended before is handed on, or False when ``timeout_millis`` is over."""
        deadline_s = time.monotonic() + timeout_millis / 1000
        complete = self._pipeline is None or self._pipeline.flush(timeout_millis / 1000)
        left_ms = max(1, int((deadline_s - time.monotonic()) * 1000))
        return (not self.processors or super().force_flush(left_ms)) and complete

    def shutdown(self) -> None:
        """Flush and stop the pipeline, then the user's processors."""
        if self._pipeline is not None:
            self._pipeline.shutdown(self.shutdown_timeout_s)
        super().shutdown()

    def noticed_fork(self) -> None:
        """A forked process in which Python's fork hooks didn't run (uWSGI) begins a root span."""
        if self._on_fork is not None:
            self._on_fork()
        self._handle_fork()

    def _handle_fork(self) -> None:
        """Replaces the SDK's, which runs resource detectors in threads inside the fork hook."""
        pid = os.getpid()
        if pid == self.pid:
            return
        self.pid = pid
        self._tracers_lock = threading.Lock()
        self._keep_lock = threading.Lock()
        self.write_lock = threading.RLock()
        self.generation += 1
        self.id_generator.reseed()
        if self._child_resource is not None:
            self._resource = self._child_resource(self._resource)
        tracers: dict[InstrumentationScope, Any] = self._tracers
        for tracer in tracers.values():
            tracer.generation = self.generation
            tracer.pid = pid
            tracer._set_resource(self._resource)
