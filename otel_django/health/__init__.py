"""Health checks: ``@health.register`` adds one of the site's own."""

from __future__ import annotations
