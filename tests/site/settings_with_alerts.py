"""The tests' settings with a mail server, and PostgreSQL at ``TESTS_POSTGRESQL_PORT`` if given."""

from __future__ import annotations

import os
from typing import Any

from tests.site.settings_with_mail import *  # noqa: F403 - settings that differ in one thing

_port = os.environ.get("TESTS_POSTGRESQL_PORT")
if _port:
    _database: Any = {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "127.0.0.1",
        "PORT": _port,
        "NAME": "postgres",
        "USER": "postgres",
        "OPTIONS": {"gssencmode": "disable", "sslmode": "disable"},
    }
    DATABASES = {"default": _database}
