"""A site that refuses what isn't asked by its name and over TLS, whose database is away."""

from __future__ import annotations

from typing import Any

from tests.settings import *  # noqa: F403
from tests.settings import BASE_DIR

ALLOWED_HOSTS = ["shop.example"]
SECURE_SSL_REDIRECT = True
SESSION_ENGINE = "django.contrib.sessions.backends.db"
_AWAY: Any = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": str(BASE_DIR / "nowhere" / "site.sqlite3"),
    "ATOMIC_REQUESTS": True,
}
DATABASES = {"default": _AWAY, "other": _AWAY}
