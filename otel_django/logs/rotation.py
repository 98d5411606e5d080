"""When a log file is full: by size, or when its day or week (UTC, from Monday) is over."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_DAY_S: Final = 86_400
_MONDAY: Final = 3
"""Days from a Monday to the first of January 1970."""
_UNITS: Final = {"KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}


class Rotation(NamedTuple):
    """``max_bytes`` and ``days`` 0: doesn't count."""

    max_bytes: int = 0
    days: int = 0

    def period(self, now_s: float) -> int:
        """The number of the day or week; 0 where time doesn't count."""
        if not self.days:
            return 0
        day = int(now_s // _DAY_S)
        return day if self.days == 1 else (day + _MONDAY) // 7

    def ends_s(self, now_s: float) -> float:
        """When the present period is over (epoch)."""
        if not self.days:
            return float("inf")
        following = self.period(now_s) + 1
        return float((following if self.days == 1 else following * 7 - _MONDAY) * _DAY_S)


def rotation_from(text: str) -> Rotation:
    """``weekly``, ``daily``, ``off``, or a size such as ``50MB``."""
    if text == "weekly":
        return Rotation(days=7)
    if text == "daily":
        return Rotation(days=1)
    size = re.fullmatch(r"(\d+)(KB|MB|GB)", text)
    return Rotation(max_bytes=int(size[1]) * _UNITS[size[2]]) if size else Rotation()
