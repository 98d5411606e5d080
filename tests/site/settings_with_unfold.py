"""The site's settings, with Unfold's admin."""

from __future__ import annotations

from tests.site.settings_with_admin import *  # noqa: F403 - settings that differ in one app
from tests.site.settings_with_admin import INSTALLED_APPS as WITH_ADMIN

INSTALLED_APPS = ["unfold", *WITH_ADMIN]
