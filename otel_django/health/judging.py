"""Figures against limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_django.conf.limits import Limit
    from otel_django.health.results import Status


def judged(value: float, limit: Limit) -> Status:
    """What ``value`` means; where the limit falls, the less the worse."""
    sign = -1 if limit.unhealthy < limit.degraded else 1
    if sign * value >= sign * limit.unhealthy:
        return "unhealthy"
    return "degraded" if sign * value >= sign * limit.degraded else "healthy"


def finding(value: float, limit: Limit, message: str) -> tuple[Status, str]:
    """What ``value`` means, with the message unless that is healthy."""
    status = judged(value, limit)
    return status, "" if status == "healthy" else message


def not_slow(duration_ms: float, limit: Limit) -> tuple[Status, str]:
    """What the time that something took means."""
    return finding(duration_ms, limit, f"It took {duration_ms:.0f} ms to answer.")
