from __future__ import annotations

from django.contrib import admin
from django.urls import path

from tests.site.urls import urlpatterns as of_the_site

urlpatterns = [*of_the_site, path("admin/", admin.site.urls)]
