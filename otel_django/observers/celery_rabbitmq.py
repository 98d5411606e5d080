"""Queues in RabbitMQ, or another broker that speaks AMQP.

It tells how many messages wait, not how old they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from otel_django.observers.queue_state import BrokerState, QueueState


def ask(connection: Any, queues: Iterable[str]) -> BrokerState:
    """A passive declaration of each queue. One that isn't there is left out."""
    connection.connect()
    found = {}
    for queue in queues:
        state = _state(connection, queue)
        if state is not None:
            found[queue] = state
    return BrokerState(found)


def _state(connection: Any, queue: str) -> QueueState | None:
    channel = connection.channel()  # for each its own: a missing queue closes it
    try:
        length = int(channel.queue_declare(queue=queue, passive=True).message_count)
    except connection.channel_errors as error:
        if getattr(error, "reply_code", None) == 404:
            return None
        raise
    finally:
        if channel.is_open:
            channel.close()
    return QueueState(length, None if length else 0.0)
