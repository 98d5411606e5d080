"""The site's settings, with a tracer provider of its own."""

from __future__ import annotations

from tests.settings import *  # noqa: F403 - settings that differ in one thing
from tests.site.guest import set_provider

set_provider()
