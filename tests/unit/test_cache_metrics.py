"""What is measured of cache operations, recorded or not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.cache import caches
from django.test import override_settings
from opentelemetry.trace import SpanKind

from otel_django import conf
from otel_django import metric_definitions as metrics
from otel_django.instrumentation.cache import CacheInstrumentation
from otel_django.tracing import current
from tests.metrics_kit import Measured
from tests.tracing_kit import Collected

KEYS = ("django.cache.operation", "django.cache.result", "django.cache.key_prefix")


@pytest.fixture(params=["always_on", "always_off"])
def measured(request: pytest.FixtureRequest) -> Iterator[Measured]:
    measured = Measured()
    tracer = Collected(request.param).tracer
    instrumentation = CacheInstrumentation()
    instrumentation.measure_with(measured.recorder)
    backend = "django.core.cache.backends.locmem.LocMemCache"
    with override_settings(CACHES={"default": {"BACKEND": backend, "LOCATION": "measured"}}):
        settings = conf.load({}, {}, base_dir=None, debug=False, settings_module=None)
        instrumentation.install(tracer, settings)
        token = current.attach(tracer.begin_local_root("request", SpanKind.SERVER, {}))
        try:
            yield measured
        finally:
            current.detach(token)
            caches["default"].clear()
            instrumentation.uninstall()


def test_operations_count_by_what_came_of_them(measured: Measured) -> None:
    cache = caches["default"]
    cache.set("user:1", "a")
    cache.get("user:1")
    cache.get("user:2")
    cache.get("user:2", None)
    cache.get_many(["user:1", "user:2", "user:3"])
    cache.get_or_set("page:1", "made")
    cache.get_or_set("page:1", "made")
    with pytest.raises(ValueError, match="not found"):
        cache.incr("hits:1")
    cache.delete("user:1")

    assert measured.counts(metrics.DJANGO_CACHE_OPERATIONS, *KEYS) == {
        ("set", "set", "user"): 1,
        ("get", "hit", "user"): 1,
        ("get", "miss", "user"): 2,
        ("get_many", "hit", "user"): 1,
        ("get_many", "miss", "user"): 2,
        ("get_or_set", "hit", "page"): 1,
        ("get_or_set", "miss", "page"): 1,
        ("incr", "miss", "hits"): 1,
        ("delete", "delete", "user"): 1,
    }
    durations = measured.counts(metrics.DJANGO_CACHE_OPERATION_DURATION, *KEYS)
    assert sum(durations.values()) == 9
    assert durations["get_many", "hit", "user"] == 1


def test_an_operation_that_fails_is_an_error(measured: Measured) -> None:
    caches["default"].set("user:1", 1)
    with pytest.raises(TypeError):
        caches["default"].incr("user:1", delta="one")  # type: ignore[arg-type]

    counts = measured.counts(metrics.DJANGO_CACHE_OPERATIONS, *KEYS)
    assert counts["incr", "error", "user"] == 1
