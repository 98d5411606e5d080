"""Settings of the small Django project the tests run against (``tests.site``)."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

BASE_DIR = Path(os.environ.get("TESTS_BASE_DIR") or tempfile.mkdtemp(prefix="otel-django-tests-"))
os.environ.setdefault("TESTS_BASE_DIR", str(BASE_DIR))  # servers started by tests share it

SECRET_KEY = "only-for-tests"
DEBUG = os.environ.get("TESTS_DEBUG") == "1"
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
USE_TZ = True
STATIC_URL = "/static/"
ROOT_URLCONF = "tests.site.urls"
WSGI_APPLICATION = "tests.site.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "otel_django",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "tests.site",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "tests.site.middleware.EarlyAnswer",
    "tests.site.middleware.pass_on",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [Path(__file__).parent / "site" / "templates"],
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(BASE_DIR / "site.sqlite3")}
}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the others take their time

OTEL_DJANGO = {"STRICT": True, "STORE": "off"}
