from __future__ import annotations

from django.apps import apps
from django.urls import path

from benchmarks.site import views

if apps.is_installed("otel_django"):
    from otel_django.web.health_views import health_check_simple as livez
else:
    from benchmarks.site.views import livez

urlpatterns = [
    path("trivial/", views.trivial),
    path("queries/", views.queries),
    path("repeated/", views.repeated),
    path("cached/", views.cached),
    path("record/<int:count>/", views.record),
    path("livez/", livez),
]
