"""The tasks of ``jobs`` with OpenTelemetry's own Celery instrumentation and SDK, without ours.

As a worker's app it runs them; as a program it publishes one.
"""

from __future__ import annotations

from typing import Any

import django
from celery.signals import worker_init
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tests.integration.jobs import add, app

__all__ = ["app"]


@worker_init.connect
def instrument(**_: Any) -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    CeleryInstrumentor().instrument()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    django.setup()
    instrument()
    add.delay(1, 2)
