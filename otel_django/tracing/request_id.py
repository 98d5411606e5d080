"""The request's id: taken from ``X-Request-ID`` when it may be, else the trace's id.

It goes back on the response, stands on the request object as ``request.otel_request_id``, and is
current (``current()``) while the request is served, for log records and published tasks.
"""

from __future__ import annotations

import re
from contextvars import ContextVar, Token

HEADER = "X-Request-ID"

_well_formed = re.compile(r"[A-Za-z0-9._-]{1,128}").fullmatch
_current: ContextVar[str | None] = ContextVar("otel_django_request_id", default=None)


def is_well_formed(value: str) -> bool:
    """1 to 128 letters, digits, dots, underscores and dashes: safe in a header and a log line."""
    return _well_formed(value) is not None


def current() -> str | None:
    """The id of the request, or of the work a request started, that runs here."""
    return _current.get()


def attach(value: str) -> Token[str | None]:
    """Make ``value`` the current id; hand the token to ``detach``."""
    return _current.set(value)


def detach(token: Token[str | None]) -> None:
    """Put back what was current; a token of another context is ignored."""
    try:
        _current.reset(token)
    except ValueError:  # the work moved to another thread or task between the two
        return
