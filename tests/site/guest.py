"""What a site does that sets OpenTelemetry up itself: spans, a provider, instrumentors."""

from __future__ import annotations

import importlib

from django.db import connection
from django.http import HttpRequest, HttpResponse


def work(request: HttpRequest) -> HttpResponse:
    """A query in the request, a span of the site's own, and a query in that."""
    from opentelemetry import trace

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    with (
        trace.get_tracer("site").start_as_current_span("work"),
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT 2")
    return HttpResponse("ok")


def instrument() -> None:
    """Switch on OpenTelemetry's instrumentors of Django and SQLite."""
    from opentelemetry.instrumentation.django import DjangoInstrumentor

    DjangoInstrumentor().instrument()
    instrument_sqlite()


def instrument_sqlite() -> None:
    """That of SQLite alone."""
    module = importlib.import_module("opentelemetry.instrumentation.sqlite3")
    module.SQLite3Instrumentor().instrument()


def set_provider() -> None:
    """The SDK's provider with its own exporter, as its documentation shows it."""
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": "theirs"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
