"""The range of time that a page shows, as its address has it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
USUAL: Final = {"15m": 900, "1h": 3600, "6h": 21_600, "24h": 86_400, "7d": 604_800}
"""What can be chosen, in seconds until now."""
LENGTHS: Final = {**USUAL, "30d": 2_592_000}
"""The longest is for what is kept that long: snapshots of health."""
DEFAULT: Final = "1h"
STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400, 21_600, 86_400)
MOST_STEPS: Final = 120
LATEST_MS: Final = 9_000_000_000_000
"""In nanoseconds it still fits into 64 bits."""


@dataclass(frozen=True, slots=True)
class TimeRange:
    """``key`` is one of LENGTHS, or empty where the address names both ends."""

    since_ns: int
    until_ns: int
    key: str = DEFAULT

    @property
    def length_ns(self) -> int:
        """From one end to the other."""
        return self.until_ns - self.since_ns

    @property
    def length_s(self) -> float:
        """``length_ns`` in seconds, for rates."""
        return self.length_ns / SECOND_NS

    @property
    def step_ns(self) -> int:
        """How far apart the points of a chart are: a round figure, at most 120 of them."""
        return self.step_of(MOST_STEPS)

    def step_of(self, most: int) -> int:
        """The shortest round figure of which no more than ``most`` make up the range."""
        seconds = self.length_s
        for each in STEPS:
            if seconds / each <= most:
                return each * SECOND_NS
        return math.ceil(seconds / most / STEPS[-1]) * STEPS[-1] * SECOND_NS

    @property
    def words(self) -> str:
        """``last hour``, or nothing where the ends say it."""
        return {
            "15m": "last 15 minutes",
            "1h": "last hour",
            "6h": "last 6 hours",
            "24h": "last 24 hours",
            "7d": "last 7 days",
            "30d": "last 30 days",
        }.get(self.key, "chosen range")

    def counted(self, now_ns: int) -> TimeRange:
        """What sums of whole minutes are of: all of the first and the last one, as far as now."""
        since_ns = self.since_ns // MINUTE_NS * MINUTE_NS
        until_ns = (self.until_ns // MINUTE_NS + 1) * MINUTE_NS
        return TimeRange(since_ns, min(until_ns, now_ns) if now_ns > since_ns else until_ns, "")

    def before(self) -> TimeRange:
        """The range as long, just before."""
        return TimeRange(self.since_ns - self.length_ns, self.since_ns, "")

    def parameters(self) -> dict[str, str]:
        """What the address says for it."""
        if self.key:
            return {} if self.key == DEFAULT else {"range": self.key}
        return {"from": str(self.since_ns // 1_000_000), "to": str(self.until_ns // 1_000_000)}


def read(parameters: Mapping[str, str], now_ns: int) -> TimeRange:
    """``range=6h``, or ``from=`` and ``to=`` in milliseconds since the epoch; else the last hour.

    What can't be understood is left aside: an address that was mistyped still shows a page.
    """
    ends = [_milliseconds(parameters.get(name, "")) for name in ("from", "to")]
    if ends[0] is not None:
        until_ns = now_ns if ends[1] is None else ends[1]
        if ends[0] < until_ns:
            return TimeRange(ends[0], until_ns, "")
    key = parameters.get("range", DEFAULT)
    if key not in LENGTHS:
        key = DEFAULT
    return TimeRange(now_ns - LENGTHS[key] * SECOND_NS, now_ns, key)


def _milliseconds(text: str) -> int | None:
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        return None
    return min(int(text), LATEST_MS) * 1_000_000
