"""Real spans for tests and benchmarks of the store: made by our tracer, kept in a list."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags

from otel_django import names
from otel_django.conf import SpanLimitSettings
from otel_django.tracing.exceptions import ExceptionFormatter
from otel_django.tracing.limits import Normaliser
from otel_django.tracing.provider import TracerProvider
from otel_django.tracing.redaction import Redactor
from otel_django.tracing.samplers import AlwaysOn
from otel_django.tracing.span import Span

if TYPE_CHECKING:
    from otel_django.tracing.tracer import Tracer

MS = 1_000_000
STATEMENT = (
    "SELECT id, name, price, stock FROM catalogue_product WHERE id = ? ORDER BY name LIMIT 21"
)


class SpanSource:
    """A tracer whose ended spans are taken with ``take``."""

    def __init__(self, service: str = "shop") -> None:
        self._ended: list[Span] = []
        self.provider = TracerProvider(
            resource=Resource({names.SERVICE_NAME: service, names.HOST_NAME: "test"}),
            sampler=AlwaysOn(),
            normaliser=Normaliser(Redactor(), SpanLimitSettings()),
            exceptions=ExceptionFormatter(Redactor()),
            sink=self._ended.append,
        )
        self.tracer: Tracer = self.provider.tracer(names.SCOPE)

    def take(self) -> list[Span]:
        """The spans that ended since the last call."""
        taken = list(self._ended)
        self._ended.clear()
        return taken

    def root(
        self,
        name: str = "GET /products/",
        *,
        start: int | None = None,
        parent: SpanContext | None = None,
        kind: SpanKind = SpanKind.SERVER,
        **attributes: Any,
    ) -> Span:
        """A local root that has begun; double underscores in keywords stand for dots."""
        plain = {key.replace("__", "."): value for key, value in attributes.items()}
        span = self.tracer.begin_local_root(name, kind, plain, parent, start)
        assert isinstance(span, Span)
        return span

    def request(
        self,
        route: str = "/products/",
        *,
        status: int = 200,
        start: int | None = None,
        duration_ms: float = 20,
        queries: int = 2,
        statement: str = STATEMENT,
        parent: SpanContext | None = None,
        path: str | None = None,
    ) -> Span:
        """A finished request with its queries; the root."""
        began = time.time_ns() if start is None else start
        root = self.root(f"GET {route}", start=began, parent=parent)
        for index in range(queries):
            self.query(root, began + index * MS, statement)
        root._attributes.update(
            {
                names.HTTP_REQUEST_METHOD: "GET",
                names.HTTP_ROUTE: route,
                names.HTTP_RESPONSE_STATUS_CODE: status,
                names.URL_PATH: path or route,
                names.URL_SCHEME: "http",
                names.DJANGO_VIEW: "catalogue.views.products",
            }
        )
        if status >= 500:
            root.fail("ValueError")
        root.end(began + int(duration_ms * MS))
        return root

    def query(self, parent: Span, start: int, statement: str = STATEMENT) -> Span:
        """A finished query of 0.5 ms below ``parent``."""
        span = self.tracer.begin(
            "SELECT catalogue_product",
            SpanKind.CLIENT,
            {
                names.DB_SYSTEM_NAME: "postgresql",
                names.DB_NAMESPACE: "shop",
                names.DB_OPERATION_NAME: "SELECT",
                names.DB_COLLECTION_NAME: "catalogue_product",
                names.DB_QUERY_SUMMARY: "SELECT catalogue_product",
                names.DB_QUERY_TEXT: statement,
                names.SERVER_ADDRESS: "db.internal",
                names.SERVER_PORT: 5432,
            },
            parent,
            start,
        )
        span.end(start + MS // 2)
        return span


def remote_parent(trace_id: int = 0xABC0 << 64 | 0x1, span_id: int = 0xF00D) -> SpanContext:
    """A caller in another process."""
    return SpanContext(trace_id, span_id, True, TraceFlags(1))


class Losses:
    """Counts what was lost."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], int] = {}

    def add(self, signal: str, cause: str, count: int) -> None:
        """As ``pipeline.drops.Drops.add``."""
        key = (signal, cause)
        self.counts[key] = self.counts.get(key, 0) + count


def store_path(folder: Path) -> Path:
    """Where a site would have it."""
    return folder / ".otel_django" / "store.sqlite3"
