"""Waiting for a socket in slices, so that the one who waits can do other things in between."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from otel_django.clock import SYSTEM_CLOCK
from otel_django.errors import TransportError

if TYPE_CHECKING:
    from otel_django.clock import Clock

FIRST_SLICE_S: Final = 0.25
"""An answer that takes longer is slow."""
SLICE_S: Final = 0.2


class Descriptor(Protocol):
    """Something to wait for."""

    def fileno(self) -> int: ...


class Wait:
    """The patience for one request: until the monotonic ``deadline_s``.

    ``on_wait`` is called after a quarter of a second and about every 0.2 s from then on, however
    the time passes (a peer that dribbles bytes included). What it raises ends the request.
    """

    def __init__(
        self, deadline_s: float, on_wait: Callable[[], object], clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.deadline_s = deadline_s
        self._on_wait = on_wait
        self._clock = clock
        self._next_s = clock.monotonic_s() + FIRST_SLICE_S

    def left_s(self) -> float:
        """Seconds until the deadline, never negative."""
        return max(self.deadline_s - self._clock.monotonic_s(), 0.0)

    def look(self, what: str) -> float:
        """Seconds to wait at most in one go; TransportError past the deadline.

        ``what`` completes "timed out …".
        """
        now_s = self._clock.monotonic_s()
        if now_s >= self._next_s:
            self._on_wait()
            now_s = self._clock.monotonic_s()
            self._next_s = now_s + SLICE_S
        if now_s >= self.deadline_s:
            raise TransportError(f"timed out {what}")
        return min(self._next_s, self.deadline_s) - now_s

    def for_socket(self, sock: Descriptor, *, read: bool, write: bool, what: str) -> None:
        """Until the socket can be read or written (or has failed)."""
        while not is_ready(sock, read=read, write=write, timeout_s=self.look(what)):
            pass

    def for_event(self, event: threading.Event, what: str) -> None:
        """Until the event is set."""
        while not event.wait(self.look(what)):
            pass


def is_ready(sock: Descriptor, *, read: bool, write: bool, timeout_s: float) -> bool:
    """Whether the socket becomes readable or writable, or fails, within ``timeout_s``."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sock, (select.POLLIN if read else 0) | (select.POLLOUT if write else 0))
        return bool(poll.poll(max(timeout_s, 0.0) * 1000))
    readers = [sock] if read else []
    writers = [sock] if write else []
    return any(select.select(readers, writers, [sock], max(timeout_s, 0.0)))
