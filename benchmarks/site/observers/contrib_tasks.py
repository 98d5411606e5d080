"""The upstream packages wired by hand: spans of Celery's tasks to OTLP over HTTP."""

from __future__ import annotations

from importlib import import_module

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from benchmarks.site.observers import Observer


class ContribTasks(Observer):
    def start(self) -> None:
        self._provider = TracerProvider()
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        trace.set_tracer_provider(self._provider)
        self._instrumentor = import_module("opentelemetry.instrumentation.celery")
        self.resume()

    def can_pause(self) -> bool:
        return True

    def pause(self) -> None:
        self._instrumentor.CeleryInstrumentor().uninstrument()

    def resume(self) -> None:
        self._instrumentor.CeleryInstrumentor().instrument()

    def flush(self) -> None:
        self._provider.force_flush()

    def finish(self) -> None:
        self.flush()


observer = ContribTasks()
