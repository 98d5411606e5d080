"""Telemetry's own health, as metrics and for who asks, from counts that are kept anyway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_django import metric_definitions as metrics
from otel_django import runtime_state
from otel_django.bootstrap.state import state_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_django.bootstrap.process import Runtime
    from otel_django.conf import Settings
    from otel_django.metric_points import MetricDefinition
    from otel_django.metrics.recorder import Recorder
    from otel_django.pipeline.lanes import Lane
    from otel_django.tracing.tracer import Tracer

Values = tuple[Any, ...]
Observed = list[tuple[float, Values]]
_KINDS: Final = {"traces": "span", "logs": "log", "metrics": "metric"}
_READER: Final = ("periodic_metric_reader", "periodic_metric_reader/0", None)
_LANES: Final = {
    "traces": (
        metrics.OTEL_SDK_PROCESSOR_SPAN_QUEUE_SIZE,
        metrics.OTEL_SDK_PROCESSOR_SPAN_QUEUE_CAPACITY,
        metrics.OTEL_SDK_PROCESSOR_SPAN_PROCESSED,
    ),
    "logs": (
        metrics.OTEL_SDK_PROCESSOR_LOG_QUEUE_SIZE,
        metrics.OTEL_SDK_PROCESSOR_LOG_QUEUE_CAPACITY,
        metrics.OTEL_SDK_PROCESSOR_LOG_PROCESSED,
    ),
}
_EXPORTERS: Final = {
    "traces": (metrics.OTEL_SDK_EXPORTER_SPAN_INFLIGHT, metrics.OTEL_SDK_EXPORTER_SPAN_EXPORTED),
    "logs": (metrics.OTEL_SDK_EXPORTER_LOG_INFLIGHT, metrics.OTEL_SDK_EXPORTER_LOG_EXPORTED),
}


class SelfObservation:
    """An instrumentation of this package itself. What was lost is told in any case."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._recorder: Recorder | None = None

    def measure_with(self, recorder: Recorder) -> None:
        """Be asked whenever ``recorder`` collects; a second call changes nothing."""
        if self._recorder is recorder:
            return
        self._recorder = recorder
        recorder.observe(metrics.OTEL_DJANGO_DROPPED, self._dropped)
        if not self._runtime.settings.internal_metrics:
            return
        for lane in (self._runtime.traces, self._runtime.logs):
            if lane.sinks:
                self._observe_lane(recorder, lane)
        if self._runtime.logs.sinks:
            recorder.observe(metrics.OTEL_SDK_LOG_CREATED, self._created)
        for signal, sinks in self._runtime.sinks.items():
            for number, sink in enumerate(sinks):
                if hasattr(sink, "tally"):
                    self._observe_exporter(recorder, signal, sink, number)
        self._tell_collections(recorder)

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Be who tells of this process."""
        runtime_state.set_source(lambda: state_of(self._runtime))

    def uninstall(self) -> None:
        """Tell nothing any more."""
        runtime_state.set_source(None)

    # --- what is lost, and what waits

    def _dropped(self) -> Observed:
        return [(count, key) for key, count in self._runtime.drops.snapshot().items()]

    def _lost_in_queue(self, lane: Lane) -> int:
        return self._runtime.drops.snapshot().get((lane.signal, "queue_full"), 0)

    def _observe_lane(self, recorder: Recorder, lane: Lane) -> None:
        size, capacity, processed = _LANES[lane.signal]
        kind = f"batching_{_KINDS[lane.signal]}_processor"
        component = (kind, f"{kind}/0")

        def passed_on() -> Observed:
            found: Observed = [(lane.passed_on, (*component, None))]
            lost = self._lost_in_queue(lane)
            return [*found, (lost, (*component, "queue_full"))] if lost else found

        recorder.observe(size, lambda: [(len(lane.queue), component)])
        recorder.observe(capacity, lambda: [(lane.queue.capacity, component)])
        recorder.observe(processed, passed_on)

    def _created(self) -> Observed:
        lane = self._runtime.logs
        return [(lane.passed_on + len(lane.queue) + self._lost_in_queue(lane), ())]

    # --- what leaves

    def _observe_exporter(self, recorder: Recorder, signal: str, sender: Any, number: int) -> None:
        receiver = getattr(self._runtime.settings, f"otlp_{signal}")
        protocol = "grpc" if receiver.protocol == "grpc" else "http"
        kind = f"otlp_{protocol}_{_KINDS[signal]}_exporter"
        component = (kind, f"{kind}/{number}")

        def exported() -> Observed:
            found: Observed = [(sender.tally.delivered, (*component, None))]
            lost = self._runtime.drops.snapshot().get((signal, "rejected"), 0)
            return [*found, (lost, (*component, "rejected"))] if lost else found

        if signal in _EXPORTERS:
            in_flight, delivered = _EXPORTERS[signal]
            recorder.observe(in_flight, lambda: [(sender.waiting_items, component)])
            recorder.observe(delivered, exported)
        _tell(
            recorder,
            metrics.OTEL_SDK_EXPORTER_OPERATION_DURATION,
            lambda: (
                (took_s, (*component, failure))
                for took_s, failure in _taken(sender.tally.operations)
            ),
        )

    def _tell_collections(self, recorder: Recorder) -> None:
        _tell(
            recorder,
            metrics.OTEL_SDK_METRIC_READER_COLLECTION_DURATION,
            lambda: ((took_s, _READER) for took_s in _taken(recorder.collections_s)),
        )


def _taken(waiting: Any) -> Iterable[Any]:
    return [waiting.popleft() for _ in range(len(waiting))]


def _tell(recorder: Recorder, definition: MetricDefinition, untold: Any) -> None:
    """Record what is ``untold`` at each collection."""
    histogram = recorder.histogram(definition)

    def drain() -> None:
        found = list(untold())
        if not found:
            return
        quiet, recorder.recording.quiet = recorder.recording.quiet, False
        for took_s, values in found:
            histogram.record(took_s, values)
        recorder.recording.quiet = quiet  # collecting goes on: it needn't be asked for

    recorder.gather(drain, lambda: None)
