"""``path("", include("otel_django.probe_urls"))``: the paths that machines ask for."""

from __future__ import annotations

from django.urls import path

from otel_django.web import health_views, metrics_views

app_name = "otel_django_probes"
urlpatterns = [
    path("livez", health_views.health_check_simple, name="livez"),
    path("readyz", health_views.readiness_check, name="readyz"),
    path("ready/", health_views.readiness_check, name="ready"),
    path("startupz", health_views.startup_check, name="startupz"),
    path("health/", health_views.health_check, name="health"),
    path("metrics", metrics_views.metrics, name="metrics"),
    path("api/v1/metrics", metrics_views.metrics, name="api_metrics"),
]
