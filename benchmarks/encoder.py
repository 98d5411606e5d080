"""What encoding a span costs: ours against upstream's encoder, in µs of processor time a span.

``python benchmarks/encoder.py [--rounds N]``. The two take turns on the same freshly made spans,
most of which have values that no span before had (path, address, size, order). Both times run
from span objects to the bytes that are sent.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import SpanKind

from otel_django.conf import SpanLimitSettings
from otel_django.pipeline.otlp_trace import encode_request
from otel_django.tracing.exceptions import ExceptionFormatter
from otel_django.tracing.limits import Normaliser
from otel_django.tracing.provider import TracerProvider
from otel_django.tracing.redaction import Redactor
from otel_django.tracing.samplers import AlwaysOn
from otel_django.tracing.span import Span
from otel_django.tracing.tracer import Tracer

BATCH = 512
ROUTES = ("/", "/orders/", "/orders/<int:pk>/", "/catalogue/<slug:slug>/", "/api/stock/<int:pk>/")
TABLES = ("orders_order", "catalogue_product", "auth_user", "django_session")
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130"

_chance = random.Random(4)


def _text(value: str) -> str:
    """A string object of its own, as those of a request are: nothing has hashed it yet."""
    return value[:1] + value[1:]


def request_span(tracer: Tracer, parent: Span, number: int) -> Span:
    """As the request instrumentation makes it: fourteen attributes, a root."""
    route = ROUTES[number % len(ROUTES)]
    span = tracer.begin_local_root(
        "GET " + route,
        SpanKind.SERVER,
        {
            "http.request.method": "GET",
            "url.scheme": _text("https"),
            "url.path": _text(route.replace("<int:pk>", str(_chance.randrange(10**6)))),
            "http.route": _text(route),
            "http.response.status_code": 200,
            "http.response.body.size": _chance.randrange(20_000),
            "server.address": _text("shop.example.com"),
            "server.port": 443,
            "client.address": f"203.0.{_chance.randrange(255)}.{_chance.randrange(255)}",
            "network.protocol.version": _text("1.1"),
            "user_agent.original": _text(AGENT),
            "django.view": _text("orders.views.OrderDetail"),
            "django.url_name": _text("order-detail"),
            "django.app": _text("orders"),
        },
    )
    assert isinstance(span, Span)
    return span


def query_span(tracer: Tracer, parent: Span, number: int) -> Span:
    """A SELECT below a request; one of twenty statements."""
    table = TABLES[number % len(TABLES)]
    columns = ", ".join(f'"{table}"."column_{i}"' for i in range(4 + number % 5))
    return tracer.begin(
        "SELECT " + table,
        SpanKind.CLIENT,
        {
            "db.system.name": "postgresql",
            "db.namespace": "shop",
            "db.operation.name": _text("SELECT"),
            "db.collection.name": _text(table),
            "db.query.summary": "SELECT " + table,
            "db.query.text": f'SELECT {columns} FROM "{table}" WHERE "{table}"."id" = %s LIMIT 21',
            "server.address": "db.internal",
            "server.port": 5432,
        },
        parent,
    )


def ten_attributes_span(tracer: Tracer, parent: Span, number: int) -> Span:
    """Eight short strings and two ints; one of each never seen before."""
    attributes: dict[str, Any] = {f"shop.attribute_{i}": _text(f"value {i}") for i in range(7)}
    attributes["shop.order"] = f"order {_chance.getrandbits(32):x}"
    attributes["shop.size"] = 3
    attributes["shop.weight"] = _chance.getrandbits(20)
    return tracer.begin("place order", SpanKind.INTERNAL, attributes, parent)


def repeated_span(tracer: Tracer, parent: Span, number: int) -> Span:
    """Ten attributes whose values were all seen before, in strings of their own."""
    attributes: dict[str, Any] = {f"shop.attribute_{i}": _text(f"value {i}") for i in range(10)}
    return tracer.begin("place order", SpanKind.INTERNAL, attributes, parent)


Encode = Callable[[Sequence[Span]], bytes]
Make = Callable[[Tracer, Span, int], Span]
KINDS: dict[str, Make] = {
    "request span": request_span,
    "query span": query_span,
    "ten attributes": ten_attributes_span,
    "ten seen before": repeated_span,
}


def make_tracer(sink: Callable[[Span], None]) -> Tracer:
    """A tracer that records everything and hands it to ``sink``."""
    redactor = Redactor(())
    provider = TracerProvider(
        resource=Resource(
            {"service.name": "shop", "service.instance.id": "a1b2", "host.name": "h"}
        ),
        sampler=AlwaysOn(),
        normaliser=Normaliser(redactor, SpanLimitSettings()),
        exceptions=ExceptionFormatter(redactor),
        sink=sink,
    )
    return provider.tracer("otel_django.benchmark", "1")


def make_spans(make: Make, count: int = BATCH) -> list[Span]:
    """Ended spans of one kind; those with a parent share it by tens."""
    spans: list[Span] = []
    tracer = make_tracer(spans.append)
    for number in range(count):
        if number % 10 == 0:
            parent = tracer.begin_local_root("GET /", SpanKind.SERVER, {})
        assert isinstance(parent, Span)
        make(tracer, parent, number).end()
    return spans


def _upstream(spans: Sequence[Span]) -> bytes:
    return encode_spans(spans).SerializeToString()


def _us_per_span(encode: Encode, spans: Sequence[Span]) -> float:
    began = time.thread_time()
    encode(spans)
    return (time.thread_time() - began) / len(spans) * 1e6


def measure(make: Make, rounds: int) -> tuple[float, float]:
    """Medians of ours and of upstream's."""
    ours: list[float] = []
    theirs: list[float] = []
    turns: list[tuple[list[float], Encode]] = [(ours, encode_request), (theirs, _upstream)]
    for _ in range(rounds):
        turns.reverse()
        for times, encode in turns:
            # Made afresh each time: a string hashed once would cost less the second time.
            spans = make_spans(make)
            gc.collect()
            times.append(_us_per_span(encode, spans))
    return median(ours), median(theirs)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    rounds = parser.parse_args().rounds
    print(f"{'µs a span':<16}{'ours':>8}{'upstream':>10}{'ratio':>8}")
    for name, make in KINDS.items():
        ours, theirs = measure(make, rounds)
        print(f"{name:<16}{ours:>8.2f}{theirs:>10.2f}{theirs / ours:>8.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
