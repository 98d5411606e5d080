"""The metrics of a process: what records them, and what shows and exports the host's sums."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from otel_django import guard, host_environment, names
from otel_django.clock import SYSTEM_CLOCK
from otel_django.instrumentation.on_import import when_imported
from otel_django.metrics import active

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otel_django.bootstrap.process import Runtime
    from otel_django.conf import Settings
    from otel_django.contracts import Sink
    from otel_django.metrics.exporting import Export
    from otel_django.metrics.host import HostMetrics
    from otel_django.metrics.recorder import Recorder

STORE_INTERVAL_S = 10.0
"""At most: what is looked at in a browser should be fresh."""


def wanted(settings: Settings) -> bool:
    """Whether anybody is there to take metrics, or to ask for them."""
    access = settings.origins.get("metrics_access")
    names_readers = access is not None and access.place != "default"
    return bool(
        settings.metrics_exporters or settings.store or settings.metrics_listen or names_readers
    )


class Metrics:
    """Where metrics are on, ``recorder`` and ``host``; with ``collecting`` there is no host.

    ``polled`` is what the worker is to poll: the host, then the sinks it gives the sums to.
    """

    def __init__(self, runtime: Runtime, *, collecting: bool) -> None:
        self.recorder: Recorder | None = None
        self.host: HostMetrics | None = None
        self._runtime = runtime
        self._undo: Callable[[], object] | None = None
        sinks = runtime.sinks["metrics"]
        self.polled: tuple[Sink, ...] = tuple(sink for sink in sinks if hasattr(sink, "poll"))
        settings = runtime.settings
        if collecting or wanted(settings):
            self.recorder = self._make_recorder(settings)
        if self.recorder is not None and not collecting:
            self.host = self._make_host(self.recorder, settings)
            self.polled = (self.host, *self.polled)

    def _make_recorder(self, settings: Settings) -> Recorder:
        from opentelemetry import trace

        from otel_django.metrics.recorder import Recorder
        from otel_django.tracing.redaction import Redactor

        return Recorder(
            clock=SYSTEM_CLOCK,
            cardinality_limit=settings.cardinality_limit,
            exemplar_filter=settings.exemplar_filter,
            aggregation=settings.histogram_aggregation,
            wake=self._measured,
            redact=Redactor(settings.redact).value,
            span_of=trace.get_current_span,
        )

    def _measured(self) -> None:
        if self.host is not None:
            self.host.measured()

    def _pause(self) -> None:
        self._runtime.worker.pause()

    def _wake(self) -> None:
        self._runtime.worker.notice()

    def _make_host(self, recorder: Recorder, settings: Settings) -> HostMetrics:
        from otel_django.metrics.host import HostMetrics
        from otel_django.metrics.host_folder import usable_folder

        runtime = self._runtime
        return HostMetrics(
            recorder,
            role=host_environment.role(host_environment.current_process()),
            open_folder=lambda: usable_folder(
                settings.run_dir, settings.service_name, pause=self._pause
            ),
            resource_of=lambda role: self._resource(role, alone=False),
            alone=lambda role: self._resource(role, alone=True),
            exports=_exports(settings, runtime.sinks["metrics"]),
            limit=settings.cardinality_limit,
            clock=SYSTEM_CLOCK,
            pause=self._pause,
            wake=self._wake,
            on_fork=runtime.after_fork,
        )

    def _resource(self, role: str, *, alone: bool) -> Any:
        from otel_django.metrics.roles import role_resource

        # Another provider's resource may name neither.
        found = self._runtime.provider.resource.attributes
        process: Any = {names.HOST_NAME: host_environment.host_name(), **found}
        settings = self._runtime.settings
        given = settings.resource_attributes.get(names.SERVICE_INSTANCE_ID)
        if alone:
            given = process.get(names.SERVICE_INSTANCE_ID) or str(os.getpid())
        return role_resource(process, role, given, settings.run_dir)

    def install(self, instrumentations: Sequence[Any]) -> None:
        """Have ``instrumentations`` measure, and the Python API; a second call changes nothing."""
        if self.recorder is None or self._undo is not None:
            return
        self._undo = when_imported("opentelemetry.metrics", self._take_charge)
        active.activate(self.recorder, self.host)
        for instrumentation in instrumentations:
            if hasattr(instrumentation, "measure_with"):
                with guard.guarded(f"{type(instrumentation).__name__}.measure_with"):
                    instrumentation.measure_with(self.recorder)

    def _take_charge(self) -> None:
        from otel_django.metrics.api_meter import MeterProvider, take_charge

        if self.recorder is not None:
            take_charge(MeterProvider(self.recorder, self._runtime.flush))

    def uninstall(self) -> None:
        """What measures from now on finds nobody."""
        if self._undo is not None:
            self._undo()
            self._undo = None
            if active.recorder() is self.recorder:
                active.activate(None)

    def after_fork(self) -> None:
        """In a forked child: sums begin at zero."""
        if self.recorder is not None:
            self.recorder.after_fork()


def _exports(settings: Settings, sinks: Sequence[Any]) -> list[Export]:
    """One for each sink; the name says what is noted of it, so that none is mistaken for another.

    Only OTLP has differences: an exporter of another package asks for what it wants.
    """
    from otel_django.metrics.exporting import Export
    from otel_django.pipeline.metric_sender import MetricSender

    usual_s = settings.metric_export_interval_s
    made = []
    for number, sink in enumerate(sinks):
        sends = isinstance(sink, MetricSender)
        delta = sends and settings.metrics_temporality != "cumulative"
        stores = not sends and type(sink).__module__.startswith("otel_django.store.")
        name = f"{type(sink).__name__}{number}{'_delta' if delta else ''}"
        interval_s = min(usual_s, STORE_INTERVAL_S) if stores else usual_s
        made.append(Export(name, sink, interval_s, delta))
    return made
