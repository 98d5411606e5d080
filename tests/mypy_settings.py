"""The models mypy's Django plugin has to know; nothing runs with these settings."""

from __future__ import annotations

from pathlib import Path

BASE_DIR = Path()
SECRET_KEY = "only-for-types"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STOCK_SERVICE_URL = ""
OUTBOX_DIR = Path()
OTEL_DJANGO: dict[str, object] = {}
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "tests.site",
    "catalogue",
    "orders",
]
