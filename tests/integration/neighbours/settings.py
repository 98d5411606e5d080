"""``TESTS_REDIS`` and ``TESTS_PEER``, whom the pages call, are URLs, ``TESTS_MEMCACHED`` a port."""

import os

from tests.settings import *  # noqa: F403

ROOT_URLCONF = "tests.integration.neighbours.pages"
REDIS = os.environ["TESTS_REDIS"]
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "redis": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": f"{REDIS}/1"},
    "django_redis": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": f"{REDIS}/2"},
    "memcached": {
        "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
        "LOCATION": f"127.0.0.1:{os.environ['TESTS_MEMCACHED']}",
    },
}
CELERY_BROKER_URL = f"{REDIS}/3"
CELERY_RESULT_BACKEND = f"{REDIS}/4"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
