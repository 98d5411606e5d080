"""The site with a database whose server takes connections and never says a word."""

from __future__ import annotations

import os
from typing import Any

from tests.settings import *  # noqa: F403 - settings that differ in one thing

_silent: Any = {
    "ENGINE": "django.db.backends.postgresql",
    "HOST": "127.0.0.1",
    "PORT": os.environ["TESTS_SILENT_PORT"],
    "NAME": "shop",
    "OPTIONS": {"gssencmode": "disable", "sslmode": "disable"},
}
DATABASES = {"default": _silent}
