"""Which requests get no span: health and metrics endpoints, and what the settings exclude."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

PROBE_PATHS: Final = frozenset(
    f"{path}{slash}"
    for path in (
        "/livez",
        "/ready",
        "/readyz",
        "/startupz",
        "/health",
        "/metrics",
        "/api/v1/metrics",
        "/monitoring/health",
        "/monitoring/health/simple",
        "/monitoring/healthz",
        "/monitoring/metrics",
    )
    for slash in ("", "/")
)
"""Probes and scrapes come every few seconds and say nothing about the site's users."""


class ExcludedUrls:
    """``OTEL_PYTHON_DJANGO_EXCLUDED_URLS``: regular expressions, found anywhere in the URL.

    As with upstream they are held against scheme, host and path; one that begins with ``^/`` is
    held against the path alone.
    """

    __slots__ = ("any",)

    def __init__(self, expressions: Sequence[str]) -> None:
        joined = "|".join(f"(?:{each})" for each in expressions)
        self.any = re.compile(joined) if joined else None

    def match(self, scheme: str, host: str, path: str) -> bool:
        """Whether the URL is excluded; ask only if ``any`` isn't None."""
        expression = self.any
        return expression is not None and bool(
            expression.search(f"{scheme}://{host}{path}") or expression.match(path)
        )
