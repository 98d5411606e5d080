"""Checks of django-health-check (v4), and those written for it, as checks of this site."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, Any

from otel_django.health.registry import register, usual_name
from otel_django.health.results import Group, Result

if TYPE_CHECKING:
    from otel_django.health.check import Found


def adapt(
    check: Any,
    *,
    name: str | None = None,
    groups: Iterable[Group] = ("ready",),
    critical: bool = False,
    timeout_s: float | None = None,
    ttl_s: float | None = None,
) -> None:
    """Register ``check``: a class of django-health-check's, one with its options, or its path.

    A ``ServiceWarning`` of it is degraded, any other of its failures unhealthy. What else counts
    as in ``register``; its own ``timeout`` doesn't.
    """
    if isinstance(check, str):
        from django.utils.module_loading import import_string

        check = import_string(check)
    made = check() if isinstance(check, type) else check

    def run() -> Found | Awaitable[Found]:
        from health_check.exceptions import HealthCheckException

        try:
            found = made.run()
        except HealthCheckException as error:
            return _result(error)
        return _awaited(found) if inspect.isawaitable(found) else None

    register(
        name or usual_name(type(made)),
        groups=groups,
        critical=critical,
        timeout_s=timeout_s,
        ttl_s=ttl_s,
    )(run)


async def _awaited(found: Awaitable[object]) -> Found:
    from health_check.exceptions import HealthCheckException

    try:
        await found
    except HealthCheckException as error:
        return _result(error)
    return None


def _result(error: Any) -> Result:
    from health_check.exceptions import ServiceWarning

    return Result("degraded" if isinstance(error, ServiceWarning) else "unhealthy", error.message)
