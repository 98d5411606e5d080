"""A sink that nothing is given to: it only wants to be asked from time to time."""

from __future__ import annotations

from collections.abc import Sequence


class Polled:
    """For those that have something to do on the worker thread; they say what in ``poll``."""

    def poll(self, now_s: float) -> float | None:
        """Do what is due at monotonic time ``now_s``; seconds until wanted again."""
        return None

    def accept(self, batch: Sequence[object]) -> None:
        """Nothing comes this way."""

    def spill(self, batch: Sequence[object]) -> None:
        """Nothing comes this way."""

    def hold(self) -> None:
        """Nothing is in hand."""

    def flush(self, deadline_s: float) -> bool:
        """Nothing is held."""
        return True

    def close(self, deadline_s: float) -> None:
        """Nothing is held."""

    def after_fork(self) -> None:
        """In a forked child."""
