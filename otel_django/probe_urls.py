"""``path("", include("otel_django.probe_urls"))``: the paths that machines ask for."""

from __future__ import annotations

from django.urls import path

from otel_django.web import metrics_views

app_name = "otel_django_probes"
urlpatterns = [
    path("metrics", metrics_views.metrics, name="metrics"),
    path("api/v1/metrics", metrics_views.metrics, name="api_metrics"),
]
