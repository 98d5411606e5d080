"""``path("monitoring/", include("otel_django.urls"))``: what is for people and programs."""

from __future__ import annotations

from django.urls import path

from otel_django.web import health_views, metrics_views

app_name = "otel_django"
urlpatterns = [
    path("health/", health_views.health_check, name="health_check"),
    path("health/simple/", health_views.health_check_simple, name="health_check_simple"),
    path("healthz/", health_views.health_check_simple, name="healthz"),
    path("metrics/", metrics_views.metrics_endpoint, name="metrics_endpoint"),
]
