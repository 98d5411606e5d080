"""Exporters of the SDK's and of installed packages, as sinks; the SDK's parts are imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_django.pipeline.drops import Drops
    from otel_django.pipeline.exporter_sink import ExporterSink


def sink(name: str, signal: str, drops: Drops) -> ExporterSink:
    """The sink over the exporter ``name``.

    Raises:
        LookupError: no installed package offers it.
    """
    exporter = _console(signal) if name == "console" else _installed(name, signal)
    if signal == "traces":
        from otel_django.pipeline.exporter_sink import ExporterSink

        return ExporterSink(exporter, drops)
    if signal == "logs":
        from otel_django.pipeline.sdk_logs import LogExporterSink

        return LogExporterSink(exporter, drops)
    from otel_django.pipeline.sdk_metrics import MetricExporterSink

    return MetricExporterSink(exporter, drops)


def _console(signal: str) -> Any:
    if signal == "traces":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    if signal == "logs":
        from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter

        return ConsoleLogRecordExporter()
    from opentelemetry.sdk.metrics.export import ConsoleMetricExporter

    return ConsoleMetricExporter()


def _installed(name: str, signal: str) -> Any:
    from importlib.metadata import entry_points

    for entry in entry_points(group=f"opentelemetry_{signal}_exporter", name=name):
        exporter = entry.load()()
        if not hasattr(exporter, "export"):
            raise LookupError("it is a metric reader, which can't be given metrics")
        return exporter
    raise LookupError("no installed package offers it")
