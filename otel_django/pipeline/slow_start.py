"""A receiver that is back isn't run over at once by all that waited for it on every host."""

from __future__ import annotations

from typing import Final

SLICE_S: Final = 0.25
FIRST_ITEMS: Final = 256
DOUBLES_S: Final = 10.0
OUTAGE_S: Final = 10.0
"""What hasn't taken anything for so long isn't to be run over."""
LONGEST_SLICE_S: Final = 1.0
"""Of the time since the last slice no more counts: nothing was sent in the rest."""


class SlowStart:
    """How many items of a backlog go in each quarter of a second.

    The first 256, twice as many every ten seconds: a minute of a busy process is spread over some
    fifteen seconds, and what comes in meanwhile never outruns it. A failure on the way doesn't
    begin it anew: one now and then would keep it where more comes in than goes out.
    """

    __slots__ = ("_next_s", "_sending_s", "_taken_s")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Nothing waits, or the receiver was away: the next one begins slowly."""
        self._taken_s: float | None = None
        self._sending_s = 0.0
        self._next_s = float("-inf")

    def wait_s(self, now_s: float) -> float:
        """Seconds of the monotonic clock until the next slice."""
        return max(self._next_s - now_s, 0.0)

    def take(self, now_s: float) -> int:
        """Begin a slice; how many items it has."""
        if self._taken_s is not None:
            self._sending_s += min(now_s - self._taken_s, LONGEST_SLICE_S)
        self._taken_s = now_s
        self._next_s = now_s + SLICE_S
        doubled = min(self._sending_s / DOUBLES_S, 32.0)
        return int(FIRST_ITEMS * 2.0**doubled)
