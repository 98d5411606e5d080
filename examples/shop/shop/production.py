"""Settings of the shop on a server: what they need comes from the environment.

``SHOP_SECRET_KEY``, ``SHOP_DATABASE_URL`` (``postgresql://user:password@host:5432/name``) and
``SHOP_REDIS_URL`` (``redis://:password@host:6379/0``) have to be there; ``SHOP_HOSTS`` names the
hosts that are answered, ``SHOP_ORIGINS`` the addresses that forms may come from.
"""

import os
from typing import Any
from urllib.parse import unquote, urlsplit

from shop.settings import *  # noqa: F403
from shop.settings import DATA_DIR, MIDDLEWARE
from shop.settings import OTEL_DJANGO as OTEL_DJANGO_OF_THE_DEMO

DEBUG = False
SECRET_KEY = os.environ["SHOP_SECRET_KEY"]
ALLOWED_HOSTS = os.environ.get("SHOP_HOSTS", "127.0.0.1,localhost").split(",")
CSRF_TRUSTED_ORIGINS = [each for each in os.environ.get("SHOP_ORIGINS", "").split(",") if each]

# Served by the application itself, compressed and cacheable.
MIDDLEWARE = [MIDDLEWARE[0], "whitenoise.middleware.WhiteNoiseMiddleware", *MIDDLEWARE[1:]]
STATIC_ROOT = DATA_DIR / "static"
WHITENOISE_USE_FINDERS = True


def database(url: str) -> dict[str, Any]:
    """A PostgreSQL database by its address."""
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"connect_timeout": 3},
    }


DATABASES = {"default": database(os.environ["SHOP_DATABASE_URL"])}

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": os.environ["SHOP_REDIS_URL"],
    }
}

CELERY_BROKER_URL = os.environ["SHOP_REDIS_URL"]
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True

# The folders are the demo's; the rest is said by OTEL_* variables.
OTEL_DJANGO = {key: value for key, value in OTEL_DJANGO_OF_THE_DEMO.items() if key != "STORE"}
