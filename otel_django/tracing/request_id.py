"""The request's id: taken from ``X-Request-ID`` when it may be, else the trace's id.

It goes back on the response, stands on the request object as ``request.otel_request_id``, and is
current (``current()``) while the request is served, for log records and published tasks. It lies
in the OpenTelemetry context, so whatever carries the current span carries it too.
"""

from __future__ import annotations

import re
from typing import Final, cast

from otel_django.tracing.current import get_context

HEADER: Final = "X-Request-ID"
CONTEXT_KEY: Final = "otel_django-request-id"
REQUEST_KEY: Final = "otel_django-request"
"""A list of one, the request that is served: None before it exists and after its end."""

_well_formed = re.compile(r"[A-Za-z0-9._-]{1,128}").fullmatch


def is_well_formed(value: str) -> bool:
    """1 to 128 letters, digits, dots, underscores and dashes: safe in a header and a log line."""
    return _well_formed(value) is not None


def current() -> str | None:
    """The id of the request, or of the work a request started, that runs here."""
    return cast("str | None", get_context().get(CONTEXT_KEY))
