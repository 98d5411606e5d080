"""Giving way to the request threads while something long is computed beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

PAUSE_EVERY_S: Final = 0.000_12
"""Time after which ``Pace`` wants a pause; with the work between two looks at the clock added,
0.25 ms is not passed."""

WORK_PER_LOOK: Final = 48
"""Units of work (an attribute, an element, a span's frame: about 1 µs) between two looks."""


def no_pause() -> None:
    """The pause of a caller who holds up nobody."""


class Pace:
    """Calls ``pause`` at least every 0.25 ms of encoding, for one encoding on one thread.

    Work is counted in units and the clock is read only every ``WORK_PER_LOOK`` of them.
    """

    __slots__ = ("_clock", "_due_s", "_left", "_pause", "met_large")

    def __init__(self, pause: Callable[[], object], clock: Callable[[], float]) -> None:
        self._pause = pause
        self._clock = clock
        self._left = WORK_PER_LOOK
        self._due_s = clock() + PAUSE_EVERY_S
        self.met_large = False
        """An attribute longer than ``LARGE`` was met: from here on, join with care."""

    def spend(self, work: int) -> None:
        """Count ``work`` units just done, or just about to be."""
        self._left -= work
        if self._left <= 0:
            self.look()

    def look(self) -> None:
        """Read the clock, and pause if it is time."""
        self._left = WORK_PER_LOOK
        if self._clock() >= self._due_s:
            self._pause()
            self._due_s = self._clock() + PAUSE_EVERY_S
