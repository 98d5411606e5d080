"""The shop's addresses."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("catalogue.urls")),
    path("", include("orders.urls")),
    path("accounts/", include("django.contrib.auth.urls")),
    path("admin/", admin.site.urls),
    path("monitoring/", include("otel_django.urls")),
    path("", include("otel_django.probe_urls")),  # /metrics
]
