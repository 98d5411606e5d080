"""Time as an argument: parts take a ``Clock`` so that tests need neither sleep nor patch."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What parts ask the time of."""

    def now_ns(self) -> int:
        """Wall-clock time in nanoseconds since the Unix epoch."""
        ...

    def monotonic_s(self) -> float:
        """A clock that never goes back, in seconds; only differences mean something."""
        ...


class SystemClock:
    """The machine's own clocks."""

    __slots__ = ()

    now_ns = staticmethod(time.time_ns)
    monotonic_s = staticmethod(time.monotonic)


SYSTEM_CLOCK = SystemClock()
