"""Which libraries are instrumented, by the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_django.conf import Settings
    from otel_django.contracts import Instrumentation, ProcessLife

_CONTRIB = "OTEL_DJANGO_INSTRUMENTATION=contrib"


def chosen(settings: Settings, life: ProcessLife) -> tuple[Instrumentation, ...]:
    """New instrumentations, in the order of installing; ``life`` is that of the process.

    Their names here are those ``OTEL_PYTHON_DISABLED_INSTRUMENTATIONS`` knows.
    """
    disabled = settings.disabled_instrumentations
    if "*" in disabled:
        return ()
    offered = _of_this_package(settings, life)
    parts = [make() for name, make in offered.items() if name not in disabled]
    if "django" in offered and "django" not in disabled:
        from otel_django.instrumentation.asgi_lifespan import AsgiLifespanInstrumentation

        parts.append(AsgiLifespanInstrumentation(life.serving_ends))
    return tuple(parts)


def _of_this_package(
    settings: Settings, life: ProcessLife
) -> dict[str, Callable[[], Instrumentation]]:
    from otel_django.health.telling import HealthTelling
    from otel_django.instrumentation.api_statistics import ApiStatistics
    from otel_django.instrumentation.cache import CacheInstrumentation
    from otel_django.instrumentation.celery_chatter import CeleryChatterInstrumentation
    from otel_django.instrumentation.celery_logs import CeleryLogsInstrumentation
    from otel_django.instrumentation.commands import CommandInstrumentation
    from otel_django.instrumentation.contrib import ContribInstrumentation
    from otel_django.instrumentation.contrib_conflicts import DATABASES, InsteadOf
    from otel_django.instrumentation.database import DatabaseInstrumentation
    from otel_django.instrumentation.django_tasks import DjangoTasksInstrumentation
    from otel_django.instrumentation.host_metrics import HostSystemMetrics
    from otel_django.instrumentation.model_events import ModelEvents
    from otel_django.instrumentation.process_metrics import ProcessMetrics
    from otel_django.instrumentation.security_events import SecurityEvents

    offered: dict[str, Callable[[], Instrumentation]] = {
        "api_statistics": ApiStatistics,
        "cache": CacheInstrumentation,
        "celery": _celery(settings, life),
        "celery_chatter": CeleryChatterInstrumentation,
        "celery_logs": CeleryLogsInstrumentation,
        "commands": CommandInstrumentation,
        "contrib": ContribInstrumentation,
        "database": lambda: InsteadOf(
            DatabaseInstrumentation(), DATABASES, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=database"
        ),
        "django_tasks": DjangoTasksInstrumentation,
        "health": HealthTelling,
        "model_events": ModelEvents,
        "process_metrics": ProcessMetrics,
        "security_events": SecurityEvents,
        "system_metrics": HostSystemMetrics,
    }
    if settings.django_instrument:
        offered["django"] = _django(settings)
        if settings.instrumentation == "own":
            from otel_django.instrumentation.request_log import RequestLog

            offered["request_log"] = RequestLog
        if settings.detail == "full":
            from otel_django.instrumentation.detail import DetailInstrumentation

            offered["detail"] = DetailInstrumentation
    return offered


def _celery(settings: Settings, life: ProcessLife) -> Callable[[], Instrumentation]:
    if settings.instrumentation == "contrib":
        from otel_django.instrumentation.contrib_celery import ContribCeleryInstrumentation

        return ContribCeleryInstrumentation
    from otel_django.instrumentation.celery import CeleryInstrumentation
    from otel_django.instrumentation.contrib_conflicts import CELERY, InsteadOf

    return lambda: InsteadOf(CeleryInstrumentation(life), CELERY, _CONTRIB)


def _django(settings: Settings) -> Callable[[], Instrumentation]:
    if settings.instrumentation == "contrib":
        from otel_django.instrumentation.contrib_django import ContribDjangoInstrumentation

        return ContribDjangoInstrumentation
    from otel_django.instrumentation.contrib_conflicts import DJANGO, InsteadOf
    from otel_django.instrumentation.http_server import HttpServerInstrumentation

    return lambda: InsteadOf(HttpServerInstrumentation(), DJANGO, _CONTRIB)
