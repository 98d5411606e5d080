"""What a broker tells of its queues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from otel_django.instrumentation.celery_message import SENT_AT


class QueueState(NamedTuple):
    """``oldest_age_s`` is None where it isn't known; of an empty queue it is 0."""

    length: int
    oldest_age_s: float | None = None


class BrokerState(NamedTuple):
    """``unacknowledged`` counts what workers have taken from any queue; None: not known."""

    queues: Mapping[str, QueueState]
    unacknowledged: int | None = None


def sent_at(headers: Any) -> float | None:
    """When a message was sent, in seconds since the epoch: if its sender was instrumented."""
    value = headers.get(SENT_AT) if isinstance(headers, Mapping) else None
    return float(value) if isinstance(value, int | float) else None
