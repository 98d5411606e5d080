"""How often one user or program may ask, in each process of the site."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from otel_django.clock import Clock

MOST_AT_ONCE: Final = 120
A_MINUTE: Final = 120
_MOST_KNOWN: Final = 2000


class RateLimit:
    """``most_at_once`` requests, and then as many as come free again, ``a_minute`` evenly.

    The generic cell rate algorithm: of everybody only one time is kept, and only while it matters.
    """

    def __init__(
        self, clock: Clock, most_at_once: int = MOST_AT_ONCE, a_minute: int = A_MINUTE
    ) -> None:
        self._clock = clock
        self._every_s = 60.0 / a_minute
        self._room_s = self._every_s * (most_at_once - 1)
        self._free_s: dict[str, float] = {}
        """When all that somebody asked will have been made up for."""
        self._lock = threading.Lock()

    def wait_s(self, who: str) -> float:
        """0.0: this request counts and may go on; else in how many seconds one may."""
        with self._lock:
            now_s = self._clock.monotonic_s()
            free_s = max(self._free_s.get(who, now_s), now_s)
            too_much_s = free_s - now_s - self._room_s
            if too_much_s > 0.0:
                return too_much_s
            if len(self._free_s) >= _MOST_KNOWN:
                self._forget(now_s)
            self._free_s[who] = free_s + self._every_s
            return 0.0

    def _forget(self, now_s: float) -> None:
        """Those who are free again; if that is nobody, all: memory has a limit, too."""
        kept = {who: free_s for who, free_s in self._free_s.items() if free_s > now_s}
        self._free_s = kept if len(kept) < _MOST_KNOWN else {}
