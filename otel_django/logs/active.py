"""The journal of this process, for the calls that users make; set by the runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_django.logs.journal import Journal

_journal: Journal | None = None


def journal() -> Journal | None:
    """Where events of this process go; None: nobody observes it."""
    return _journal


def set_journal(journal: Journal | None) -> None:
    """Have ``journal`` take this process's events."""
    global _journal
    _journal = journal
