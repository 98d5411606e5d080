"""The test site with tasks in its database and a cache that all processes of the host see."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from tests.settings import *  # noqa: F403
from tests.settings import BASE_DIR, CACHES, INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "django_tasks_db"]
if find_spec("django.tasks") is None:
    INSTALLED_APPS.append("django_tasks")
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
_FILES: Any = {
    "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
    "LOCATION": str(BASE_DIR / "cache"),
    "OPTIONS": {"MAX_ENTRIES": 100_000},
}
CACHES["default"] = _FILES
