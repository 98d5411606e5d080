"""The tests' settings with a mail server at ``TESTS_SMTP_PORT``."""

from __future__ import annotations

import os

import django

from tests.settings import *  # noqa: F403

_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
_PORT = int(os.environ["TESTS_SMTP_PORT"])
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": _BACKEND, "OPTIONS": {"host": "127.0.0.1", "port": _PORT}}}
else:
    EMAIL_BACKEND = _BACKEND
    EMAIL_HOST = "127.0.0.1"
    EMAIL_PORT = _PORT
