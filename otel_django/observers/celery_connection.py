"""Connections to Celery's broker that leave nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


@contextmanager
def closing(connection: Any) -> Iterator[Any]:
    """Close it when the block ends, with the poller that kombu leaves to the garbage collector."""
    try:
        yield connection
    finally:
        with suppress(Exception):
            poller = getattr(getattr(connection.transport, "cycle", None), "poller", None)
            connection.release()
            if poller is not None:
                poller.close()
