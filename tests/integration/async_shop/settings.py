"""The shop's settings with one address more."""

from __future__ import annotations

from shop.settings import *  # noqa: F403 - settings that differ in one thing

ROOT_URLCONF = "tests.integration.async_shop.urls"
