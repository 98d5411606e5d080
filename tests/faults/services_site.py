"""Settings of a site whose services are those that a test names, each behind a port on loopback.

``TESTS_PORTS`` is ``database:cache:broker:http``. The site has two aliases of the one PostgreSQL.
"""

from __future__ import annotations

import os
from typing import Any

from tests.settings import *  # noqa: F403 - the test site with other services

DATABASE, CACHE, BROKER, HTTP = (int(port) for port in os.environ["TESTS_PORTS"].split(":"))
_POSTGRESQL: dict[str, Any] = {
    "ENGINE": "django.db.backends.postgresql",
    "HOST": "127.0.0.1",
    "PORT": DATABASE,
    "USER": "postgres",
    "NAME": "postgres",
    "OPTIONS": {"sslmode": "disable", "gssencmode": "disable"},
}
DATABASES = {"default": _POSTGRESQL, "other": _POSTGRESQL}
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": f"redis://127.0.0.1:{CACHE}/0",
    }
}
OTEL_DJANGO = {
    "STRICT": True,
    "STORE": "off",
    "TOKENS": ["sesame-0123456789"],
    "HEALTH_URLS": [f"partner=http://127.0.0.1:{HTTP}/"],
    # a busy machine is slow by itself
    "HEALTH_LIMITS": "database_ms=60000:60000,cache_ms=60000:60000,http_ms=60000:60000",
}
