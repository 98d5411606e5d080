"""``path("monitoring/", include("otel_django.urls"))``: what is for people and programs."""

from __future__ import annotations

from django.urls import path

from otel_django.viewer import dashboard_views
from otel_django.viewer import urls as viewer
from otel_django.viewer.beside_json import beside_json
from otel_django.web import (
    alert_views,
    cached_answers,
    health_views,
    metrics_views,
    performance_views,
    status_views,
    uptime_views,
)

app_name = "otel_django"
urlpatterns = [
    path("health/", health_views.health_check, name="health_check"),
    path("health/simple/", health_views.health_check_simple, name="health_check_simple"),
    path("healthz/", health_views.health_check_simple, name="healthz"),
    path("metrics/", metrics_views.metrics_endpoint, name="metrics_endpoint"),
    path("uptime/", uptime_views.uptime_status, name="uptime_status"),
    path("status/", status_views.monitoring_status, name="monitoring_status"),
    path(
        "performance/queries/",
        beside_json(performance_views.performance_queries, viewer.view_of("database")),
        name="performance_queries",
    ),
    path(
        "performance/cache/",
        beside_json(performance_views.performance_cache, viewer.view_of("cache")),
        name="performance_cache",
    ),
    path("alerts/", beside_json(alert_views.alerts, viewer.view_of("alerts")), name="alerts"),
    path("alerts/receive/", alert_views.receive_alerts, name="receive_alerts"),
    path("alerts/test/", alert_views.test_alerts, name="test_alerts"),
    path("cache/clear/", cached_answers.clear_monitoring_cache, name="clear_monitoring_cache"),
    path(
        "dashboard/",
        beside_json(dashboard_views.monitoring_dashboard, viewer.view_of("dashboard")),
        name="monitoring_dashboard",
    ),
    *viewer.urlpatterns,
]
