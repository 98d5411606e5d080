"""Whether to do without what is nice to have: telemetry takes more than its share."""

from __future__ import annotations

on = False
"""No spans of parts of a request (``OTEL_DJANGO_DETAIL=full``), no lines of repeated queries."""


def set_on(wanted: bool) -> None:
    """From now on."""
    global on
    on = wanted
