"""Queues in a folder: a file for each message."""

from __future__ import annotations

import os
from collections.abc import Iterable
from time import time
from typing import Any

from otel_django.observers.queue_state import BrokerState, QueueState


def ask(connection: Any, queues: Iterable[str]) -> BrokerState:
    """Reads the folder once; a message was sent when its file was written."""
    folder = connection.transport_options.get("data_folder_in", "data_in")
    wanted = dict.fromkeys(queues, 0)
    oldest: dict[str, float] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            queue = entry.name.partition(".")[2].removesuffix(".msg")
            if queue not in wanted:
                continue
            try:
                written_s = entry.stat().st_mtime
            except FileNotFoundError:
                continue  # taken just now
            wanted[queue] += 1
            oldest[queue] = min(written_s, oldest.get(queue, written_s))
    now_s = time()
    return BrokerState(
        {
            queue: QueueState(length, max(0.0, now_s - oldest.get(queue, now_s)))
            for queue, length in wanted.items()
        }
    )
