"""The site with a database whose server takes connections and never says a word."""

from __future__ import annotations

import os

from tests.settings import *  # noqa: F403

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "127.0.0.1",
        "PORT": os.environ["TESTS_SILENT_PORT"],
        "NAME": "shop",
        "OPTIONS": {"gssencmode": "disable", "sslmode": "disable"},
    }
}
