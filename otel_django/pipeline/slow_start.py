"""A receiver that is back isn't run over at once by all that waited for it on every host."""

from __future__ import annotations

from typing import Final

SLICE_S: Final = 0.25
FIRST_ITEMS: Final = 256
DOUBLES_S: Final = 10.0


class SlowStart:
    """How many items of a backlog go in each quarter of a second.

    The first 256, twice as many every ten seconds: a minute of a busy process is spread over some
    fifteen seconds, and what comes in meanwhile never outruns it.
    """

    __slots__ = ("_began_s", "_next_s")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Nothing waits, or it can't be sent now: the next one begins slowly."""
        self._began_s: float | None = None
        self._next_s = float("-inf")

    def wait_s(self, now_s: float) -> float:
        """Seconds of the monotonic clock until the next slice."""
        return max(self._next_s - now_s, 0.0)

    def take(self, now_s: float) -> int:
        """Begin a slice; how many items it has."""
        if self._began_s is None:
            self._began_s = now_s
        self._next_s = now_s + SLICE_S
        doubled = min((now_s - self._began_s) / DOUBLES_S, 32.0)
        return int(FIRST_ITEMS * 2.0**doubled)
