"""The test site with Sentry and django-structlog in it, set up as their own pages say."""

from __future__ import annotations

import os

import sentry_sdk
from sentry_sdk.integrations.django import DjangoIntegration

from tests.servers.beside.sentry_events import Kept
from tests.settings import *  # noqa: F403

_STRUCTLOG = "django_structlog.middlewares.RequestMiddleware"

ROOT_URLCONF = "tests.servers.beside.urls"
if os.environ.get("BESIDE_FIRST"):  # both orders have to do
    INSTALLED_APPS.append("django_structlog")  # noqa: F405
    MIDDLEWARE.insert(0, _STRUCTLOG)  # noqa: F405
else:
    INSTALLED_APPS.insert(0, "django_structlog")  # noqa: F405
    MIDDLEWARE.append(_STRUCTLOG)  # noqa: F405

sentry_sdk.init(
    dsn="http://key@127.0.0.1:9/1",
    transport=Kept,
    traces_sample_rate=1.0,
    integrations=[DjangoIntegration(cache_spans=True)],
)
