"""Where no record is taken: inside our own handling of one, and on the exporters' thread.

What an object's text, a file or a query says while a record is handled would be handled in turn,
for ever; what exporters say of the failing delivery of records would be delivered as records.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Final

from otel_django.guard import LOGGER_NAME

OWN_THREADS: Final = "otel_django"
"""How the names of the threads begin that send and store."""


class _Busy(threading.local):
    now = False


_busy = _Busy()


def suppressed() -> bool:
    """Whether this thread is handling a record already."""
    return _busy.now


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Take no record of this thread in the block."""
    before = _busy.now
    _busy.now = True
    try:
        yield
    finally:
        _busy.now = before


def begin() -> None:
    """As ``quiet``, where a block costs too much."""
    _busy.now = True


def end() -> None:
    """The record is handled."""
    _busy.now = False


def stays_here(logger: str) -> bool:
    """Whether its records are written but never sent: they are our own."""
    return logger == LOGGER_NAME or logger.startswith("otel_django.")


def on_own_thread(thread: str | None) -> bool:
    """Whether a record is of a thread that sends and stores: never sent either."""
    return thread is not None and thread.startswith(OWN_THREADS)
