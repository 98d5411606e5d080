"""The test site with the Celery app of ``jobs``, whose schedule is ``TESTS_SCHEDULE``."""

from __future__ import annotations

import json
import os

from tests.integration.jobs import app
from tests.site.wsgi import application

app.conf.beat_schedule = json.loads(os.environ.get("TESTS_SCHEDULE", "{}"))
__all__ = ("app", "application")
