"""The site's settings, with SQLite's driver instrumented by OpenTelemetry."""

from __future__ import annotations

from tests.settings import *  # noqa: F403 - settings that differ in one thing
from tests.site.guest import instrument_sqlite

instrument_sqlite()
