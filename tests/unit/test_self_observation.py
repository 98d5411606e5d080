"""What telemetry tells of itself, at a real receiver."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_django import metric_definitions as metrics
from otel_django.bootstrap.process import Runtime
from otel_django.conf import OtlpSettings, Settings
from otel_django.metric_points import HistogramPoint, NumberPoint
from tests.stub_collector import StubCollector

pytestmark = pytest.mark.usefixtures("no_meter_provider")

SPANS = "batching_span_processor"
SPAN_EXPORTER = "otlp_http_span_exporter"


@pytest.fixture
def collector() -> Iterator[StubCollector]:
    with StubCollector() as running:
        yield running


def settings(collector: StubCollector, folder: Path, **more: Any) -> Settings:
    fields: dict[str, Any] = {
        f"otlp_{signal}": OtlpSettings(endpoint=f"{collector.base_endpoint}/v1/{signal}")
        for signal in ("traces", "metrics", "logs")
    }
    return Settings(
        **fields,
        traces_exporters=("otlp",),
        metrics_exporters=("otlp",),
        logs_exporters=("otlp",),
        strict=True,
        spool_dir=folder / "spool",
        run_dir=folder / "run",
        **more,
    )


class Observed:
    """A runtime that isn't installed but for its metrics."""

    def __init__(self, settings: Settings) -> None:
        self.runtime = Runtime(settings)
        self.runtime.metrics.install(self.runtime.instrumentations)

    def ends(self, count: int) -> None:
        tracer = self.runtime.provider.get_tracer("tests")
        for _ in range(count):
            tracer.start_span("work").end()

    def values(self, name: str) -> dict[tuple[Any, ...], float]:
        recorder = self.runtime.metrics.recorder
        assert recorder is not None
        found: dict[tuple[Any, ...], float] = {}
        for metric in recorder.collect():
            if metric.name == name:
                for point in metric.points:
                    assert isinstance(point, NumberPoint | HistogramPoint)
                    key = tuple(value for _, value in point.attributes)
                    found[key] = point.value if isinstance(point, NumberPoint) else point.count
        return found


@pytest.fixture
def observed(collector: StubCollector, tmp_path: Path) -> Iterator[Observed]:
    made = Observed(settings(collector, tmp_path))
    yield made
    made.runtime.stop()


def test_queues_and_exporters_tell_what_they_have_done(observed: Observed) -> None:
    observed.ends(7)
    assert observed.runtime.flush()
    component = (f"{SPANS}/0", SPANS)
    exporter = (f"{SPAN_EXPORTER}/0", SPAN_EXPORTER)
    assert observed.values(metrics.OTEL_SDK_PROCESSOR_SPAN_PROCESSED.name) == {component: 7}
    assert observed.values(metrics.OTEL_SDK_PROCESSOR_SPAN_QUEUE_SIZE.name) == {component: 0}
    (capacity,) = observed.values(metrics.OTEL_SDK_PROCESSOR_SPAN_QUEUE_CAPACITY.name).values()
    assert capacity == observed.runtime.traces.queue.capacity
    assert observed.values(metrics.OTEL_SDK_EXPORTER_SPAN_EXPORTED.name) == {exporter: 7}
    assert observed.values(metrics.OTEL_SDK_EXPORTER_SPAN_INFLIGHT.name) == {exporter: 0}
    durations = observed.values(metrics.OTEL_SDK_EXPORTER_OPERATION_DURATION.name)
    assert durations[exporter] >= 1
    assert observed.values(metrics.OTEL_SDK_METRIC_READER_COLLECTION_DURATION.name)


def test_what_waits_for_a_receiver_that_is_away_is_in_flight(
    observed: Observed, collector: StubCollector
) -> None:
    collector.set_mode("unavailable")
    observed.ends(3)
    observed.runtime.flush(2.0)
    exporter = (f"{SPAN_EXPORTER}/0", SPAN_EXPORTER)
    assert observed.values(metrics.OTEL_SDK_EXPORTER_SPAN_INFLIGHT.name) == {exporter: 3}
    assert observed.values(metrics.OTEL_SDK_EXPORTER_SPAN_EXPORTED.name) == {exporter: 0}
    durations = observed.values(metrics.OTEL_SDK_EXPORTER_OPERATION_DURATION.name)
    assert any("retry" in key for key in durations)


def test_what_is_refused_is_dropped_and_says_why(
    observed: Observed, collector: StubCollector
) -> None:
    collector.set_mode("bad_request")
    logging.getLogger("otel_django").setLevel(logging.ERROR)
    try:
        observed.ends(3)
        observed.runtime.flush(2.0)
    finally:
        logging.getLogger("otel_django").setLevel(logging.INFO)
    assert observed.values("otel_django.dropped")["rejected", "traces"] == 3
    exporter = (f"{SPAN_EXPORTER}/0", SPAN_EXPORTER)
    exported = observed.values(metrics.OTEL_SDK_EXPORTER_SPAN_EXPORTED.name)
    assert exported == {exporter: 0, ("rejected", *exporter): 3}


def test_telling_of_collections_asks_for_none(observed: Observed) -> None:
    recorder = observed.runtime.metrics.recorder
    assert recorder is not None
    recorder.collect()
    recorder.collect()
    assert recorder.recording.quiet


def test_switched_off_only_losses_are_told(collector: StubCollector, tmp_path: Path) -> None:
    made = Observed(settings(collector, tmp_path, internal_metrics=False))
    try:
        made.runtime.drops.add("logs", "shutdown", 2)
        recorder = made.runtime.metrics.recorder
        assert recorder is not None
        names = {metric.name for metric in recorder.collect()}
        assert "otel_django.dropped" in names
        assert not any(name.startswith("otel.sdk.") for name in names)
    finally:
        made.runtime.stop()
