"""Django's log lines on single statements hold their values; the spans tell them without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_django.logs.journal import LEFT_OUT

if TYPE_CHECKING:
    import logging


def statement(record: logging.LogRecord) -> str | None:
    """A rule for ``django.db.backends``: what it says of a statement is left out."""
    return LEFT_OUT if hasattr(record, "sql") else None
