"""The site's settings, with Django's admin."""

from __future__ import annotations

from tests.settings import *  # noqa: F403 - settings that differ in what the admin needs
from tests.settings import INSTALLED_APPS, MIDDLEWARE, TEMPLATES

INSTALLED_APPS = [*INSTALLED_APPS, "django.contrib.admin", "django.contrib.messages"]
MIDDLEWARE = [*MIDDLEWARE, "django.contrib.messages.middleware.MessageMiddleware"]
ROOT_URLCONF = "tests.site.urls_with_admin"
TEMPLATES: list[dict[str, object]] = [  # type: ignore[no-redef]
    {
        **TEMPLATES[0],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
