"""``QueryMonitoringMiddleware`` and ``CacheMonitoringMiddleware``, alone and beside everything."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.core.cache import caches
from django.test import AsyncClient, Client, override_settings

from otel_django import conf
from otel_django import metric_definitions as metrics
from otel_django.instrumentation import cache, database
from otel_django.instrumentation.cache import CacheInstrumentation
from otel_django.instrumentation.database import DatabaseInstrumentation
from otel_django.metrics import active
from tests.metrics_kit import Measured
from tests.requests_kit import Traced, make_traced, traced_requests
from tests.requests_kit import settings as ours

PLACED = [
    "otel_django.middleware.QueryMonitoringMiddleware",
    "otel_django.middleware.CacheMonitoringMiddleware",
    *settings.MIDDLEWARE,
]


@pytest.fixture
def measured() -> Iterator[Measured]:
    measured = Measured()
    before = active.recorder(), active.host()
    active.activate(measured.recorder)
    yield measured
    active.activate(*before)


@pytest.fixture
def alone(measured: Measured, monkeypatch: pytest.MonkeyPatch) -> Iterator[Traced]:
    """Requests are recorded, databases and caches aren't instrumented."""
    made: list[DatabaseInstrumentation | CacheInstrumentation] = []
    for kind in (DatabaseInstrumentation, CacheInstrumentation):
        install = kind.install

        def remember(self: object, *args: object, _install: object = install) -> None:
            made.append(self)  # type: ignore[arg-type]
            _install(self, *args)  # type: ignore[operator]

        monkeypatch.setattr(kind, "install", remember)
    with traced_requests() as traced:
        monkeypatch.setattr("opentelemetry.trace._TRACER_PROVIDER", traced.provider)
        with override_settings(MIDDLEWARE=PLACED):
            yield traced
    for each in made:
        each.uninstall()
    assert database._recorder is None
    assert cache._begin is None


def test_alone_they_measure_without_spans(
    alone: Traced, measured: Measured, database: None
) -> None:
    Client().get("/queries/3/")
    caches["default"].get("user:1")

    assert [span._name for span in alone.spans] == ["GET /queries/<int:count>/"]
    assert sum(measured.counts(metrics.DB_CLIENT_OPERATION_DURATION).values()) >= 3
    assert measured.counts(metrics.DJANGO_CACHE_OPERATIONS, "django.cache.result") == {("miss",): 1}


def test_alone_they_measure_under_asynchronous_servers(
    alone: Traced, measured: Measured, database: None
) -> None:
    asyncio.run(AsyncClient().get("/queries/3/"))

    assert sum(measured.counts(metrics.DB_CLIENT_OPERATION_DURATION).values()) >= 3


def test_where_everything_is_on_they_change_nothing(measured: Measured, database: None) -> None:
    traced = make_traced(ours())
    instrumentation = DatabaseInstrumentation()
    instrumentation.measure_with(measured.recorder)
    instrumentation.install(traced.provider.tracer("tests"), conf.from_django())
    try:
        with override_settings(MIDDLEWARE=PLACED[:1] + PLACED[2:]):
            assert Client().get("/queries/3/").status_code == 200
            assert Client().get("/queries/3/").status_code == 200
    finally:
        instrumentation.uninstall()

    assert sum(measured.counts(metrics.DB_CLIENT_OPERATION_DURATION).values()) in range(6, 12)


def test_without_metrics_they_pass_requests_through() -> None:
    with override_settings(MIDDLEWARE=PLACED):
        assert Client().get("/plain/").status_code == 200
        assert asyncio.run(AsyncClient().get("/plain-async/")).status_code == 200
