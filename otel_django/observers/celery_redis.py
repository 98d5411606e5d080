"""Queues in Redis: a list for each queue and priority; the oldest message is the last.

What workers have taken is kept in one hash until they acknowledge it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from time import time
from typing import Any

from otel_django.observers.queue_state import BrokerState, QueueState, sent_at


def ask(connection: Any, queues: Iterable[str]) -> BrokerState:
    """A handful of commands that return at once."""
    connection.connect()
    channel = connection.channel()
    try:
        with channel.conn_or_acquire() as client:
            prefix = getattr(channel, "global_keyprefix", "")
            states = {queue: _state(channel, client, prefix, queue) for queue in queues}
            return BrokerState(states, int(client.hlen(channel.unacked_key)))
    finally:
        channel.close()


def _state(channel: Any, client: Any, prefix: str, queue: str) -> QueueState:
    keys = list(dict.fromkeys(channel._q_for_pri(queue, step) for step in channel.priority_steps))
    lengths = {key: int(client.llen(key)) for key in keys}
    length = sum(lengths.values())
    if not length:
        return QueueState(0, 0.0)
    # kombu's client puts the prefix before the keys of some commands only: not of this one
    last = [_sent_at(client.lindex(f"{prefix}{key}", -1)) for key in keys if lengths[key]]
    known = [each for each in last if each is not None]
    if len(known) < len(last):
        return QueueState(length)
    return QueueState(length, max(0.0, time() - min(known)))


def _sent_at(message: Any) -> float | None:
    if message is None:  # somebody took it just now
        return time()
    try:
        return sent_at(json.loads(message).get("headers"))
    except (ValueError, AttributeError):
        return None
