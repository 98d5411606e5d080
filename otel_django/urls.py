"""``path("monitoring/", include("otel_django.urls"))``: what is for people and programs."""

from __future__ import annotations

from django.urls import path

from otel_django.web import metrics_views

app_name = "otel_django"
urlpatterns = [
    path("metrics/", metrics_views.metrics_endpoint, name="metrics_endpoint"),
]
