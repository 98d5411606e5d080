from __future__ import annotations

from django.urls import path

from benchmarks.site import views

urlpatterns = [
    path("trivial/", views.trivial),
    path("queries/", views.queries),
    path("repeated/", views.repeated),
    path("cached/", views.cached),
    path("record/<int:count>/", views.record),
]
