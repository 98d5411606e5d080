"""The live system dashboard."""

from __future__ import annotations

from otel_django.clock import SYSTEM_CLOCK
from otel_django.health import active
from otel_django.web.dashboard import Dashboard, dashboard
from otel_django.web.json_endpoint import Asked, Choice, class_of, get, json_view
from otel_django.web.metric_sums import host_sums


@get(parameters=(Choice("format", "The form of the answer.", ("json",)),))
def _dashboard(asked: Asked) -> Dashboard:
    """Health, requests, database, caches, Celery, API and host in one answer."""
    return dashboard(active.engine().report("all"), host_sums(), SYSTEM_CLOCK.now_ns())


monitoring_dashboard = json_view("monitoring_dashboard", _dashboard)
MonitoringDashboardView = class_of(monitoring_dashboard)
