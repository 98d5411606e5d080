"""Health checks: ``@health.register()`` adds one of the site's own, ``report`` asks them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_django.health.check import Check
from otel_django.health.registry import register
from otel_django.health.results import CheckError, Result

if TYPE_CHECKING:
    from collections.abc import Collection

    from otel_django.health.results import Group, Report

__all__ = ["Check", "CheckError", "Result", "forget", "register", "report"]


def report(group: Group = "all", names: Collection[str] | None = None) -> Report:
    """What the checks of a group say now, or only those of these names; half a second at most.

    Raises:
        UnknownCheckError: one of ``names`` isn't in that group.
    """
    from otel_django.health import active

    return active.engine().report(group, names)


def forget() -> None:
    """Have the next report ask every check again; for tests of the site's own checks."""
    from otel_django.health import active

    active.engine().forget()
