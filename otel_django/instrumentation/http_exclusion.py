"""Which requests get no span: health and metrics endpoints, and what the settings exclude."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from django.http import HttpRequest

    from otel_django.instrumentation.http_served import ServedRequest

_USUAL: Final = frozenset(
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
probe_paths: Final = set(_USUAL)
"""Probes and scrapes come every few seconds and say nothing about the site's users."""


def learn_probe_paths(found: Iterable[str]) -> None:
    """The site has probes here as well; replaces what was learnt before."""
    probe_paths.intersection_update(_USUAL)
    probe_paths.update(found)


def exclude(request: HttpRequest) -> None:
    """A request that has begun turns out to be a probe, the first of its process."""
    served: ServedRequest | None = getattr(request, "_otel_django", None)
    if served is not None:
        served.exclude()


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
