"""A process that serves the same requests and runs the same tasks, and prints what it recorded.

``OTEL_DJANGO_INSTRUMENTATION`` chooses whose instrumentation makes the spans. Prints one JSON
object: scenario → spans in the order they began, each ``[kind, attributes, status, events]`` under
the name of its place (``request``, ``send``, ``process``).
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from typing import Any

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
os.environ["OTEL_DJANGO_ENABLED"] = "true"
logging.disable(logging.CRITICAL)
django.setup()

from celery import Celery  # noqa: E402
from celery.contrib.testing.worker import start_worker  # noqa: E402
from django.test import Client  # noqa: E402
from opentelemetry import trace  # noqa: E402
from opentelemetry.sdk.trace import TracerProvider  # noqa: E402
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: E402

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

exporter = InMemorySpanExporter()
provider = trace.get_tracer_provider()
assert isinstance(provider, TracerProvider)
provider.add_span_processor(SimpleSpanProcessor(exporter))

app = Celery("both", broker="memory://", backend="cache+memory://")
app.conf.update(
    task_default_queue="both",
    worker_hijack_root_logger=False,
    broker_transport_options={"polling_interval": 0.01},
)


@app.task(name="both.add")
def add(a: int, b: int) -> int:
    return a + b


@app.task(name="both.fail")
def fail() -> None:
    raise ValueError("no")


@app.task(name="both.retry", bind=True, max_retries=1, default_retry_delay=0)
def retry(self: Any) -> int:
    if self.request.retries:
        return 1
    raise self.retry(exc=KeyError("again"))


def request(method: str, path: str, **headers: Any) -> Callable[[], None]:
    def send() -> None:
        client = Client(raise_request_exception=False)
        response: Any = client.generic(method, path, **headers)
        if response.streaming:
            list(response.streaming_content)
        response.close()

    return send


def spans() -> list[Any]:
    return sorted(exporter.get_finished_spans(), key=lambda span: span.start_time or 0)


def task(name: str, runs: int = 1) -> Callable[[], None]:
    def publish() -> None:
        app.tasks[name].delay(*((1, 2) if name == "both.add" else ()))
        deadline = time.monotonic() + 20
        while sum(span.kind.name == "CONSUMER" for span in spans()) < runs:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    return publish


SCENARIOS: dict[str, Callable[[], None]] = {
    "page": request("GET", "/plain/"),
    "query string": request("GET", "/plain/?token=abc"),
    "post": request("POST", "/methods/", data="x", content_type="text/plain"),
    "included route": request("GET", "/api/v1/articles/7/"),
    "regex route": request("GET", "/api/v1/years/2024/"),
    "not found": request("GET", "/nowhere/"),
    "raised 404": request("GET", "/raises-404/"),
    "denied": request("GET", "/raises-403/"),
    "raises": request("GET", "/raises/"),
    "answers 500": request("GET", "/answers-500/"),
    "redirect": request("GET", "/moved/"),
    "stream": request("GET", "/stream/"),
    "odd method": request("BREW", "/plain/"),
    "https": request("GET", "/plain/", secure=True),
    "other port": request("GET", "/plain/", headers={"Host": "localhost:8443"}),
    "called": request("GET", "/plain/", headers={"traceparent": CALLER}),
    "user agent": request("GET", "/plain/", headers={"User-Agent": "curl/8"}),
    "refused host": request("GET", "/plain/", headers={"Host": "evil.example"}),
    "health": request("GET", "/livez"),
    "task": task("both.add"),
    "failing task": task("both.fail"),
    "retried task": task("both.retry", runs=2),
}


def described(span: Any) -> list[Any]:
    return [
        span.name,
        span.kind.name,
        {key: str(value) for key, value in (span.attributes or {}).items()},
        span.status.status_code.name,
        [event.name for event in span.events],
        None if span.parent is None else span.parent.is_remote,
    ]


def main() -> None:
    found = {}
    with start_worker(app, pool="threads", perform_ping_check=False, shutdown_timeout=20):
        for name, act in SCENARIOS.items():
            exporter.clear()
            act()
            found[name] = [described(span) for span in spans()]
    print(json.dumps(found))


main()
