"""The viewer's pages at the root."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [path("", include("otel_django.viewer.urls"))]
