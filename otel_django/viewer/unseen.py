"""Looking at telemetry makes none: requests for pages are measured, but have no trace."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.http import HttpRequest


@contextlib.contextmanager
def unseen(request: HttpRequest) -> Iterator[None]:
    """What is done for this request leaves no span."""
    from opentelemetry.context import Context

    from otel_django.instrumentation import http_exclusion
    from otel_django.tracing.current import SUPPRESS_KEY, detach, get_context, set_context

    http_exclusion.exclude(request)
    token = set_context(Context({**get_context(), SUPPRESS_KEY: True}))
    try:
        yield
    finally:
        detach(token)
