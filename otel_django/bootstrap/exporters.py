"""Where spans leave to, by the names in ``OTEL_TRACES_EXPORTER``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.contracts import Sink
    from otel_django.pipeline.drops import Drops
    from otel_django.pipeline.receiver import Transport


def transport(settings: Settings) -> Transport:
    """The connection to the OTLP receiver."""
    if settings.otlp_traces.protocol == "grpc":
        from otel_django.pipeline.grpc_transport import GrpcTransport

        return GrpcTransport(settings.otlp_traces)
    from otel_django import host_environment
    from otel_django.pipeline.http_transport import HttpTransport
    from otel_django.pipeline.proxy import proxy_for

    proxy = proxy_for(settings.otlp_traces.endpoint, host_environment.proxy_variables())
    return HttpTransport(settings.otlp_traces, proxy=proxy)


def foreign(name: str, drops: Drops) -> Sink:
    """The sink over an exporter of the SDK's or of an installed package's.

    Raises:
        LookupError: no installed package offers ``name``.
    """
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter

    from otel_django.pipeline.exporter_sink import ExporterSink

    if name == "console":
        return ExporterSink(ConsoleSpanExporter(), drops)
    from importlib.metadata import entry_points

    for entry in entry_points(group="opentelemetry_traces_exporter", name=name):
        return ExporterSink(entry.load()(), drops)
    raise LookupError("no installed package offers it")
