"""Times as reports say them: in the site's zone."""

from __future__ import annotations

from datetime import datetime
from typing import Final

DAY_NS: Final = 86_400_000_000_000


def moment(time_ns: int) -> str:
    """``Mon 16 Nov 2026 07:00 UTC``."""
    return f"{_local(time_ns):%a %d %b %Y %H:%M %Z}"


def day(time_ns: int) -> str:
    """``16 Nov``."""
    return f"{_local(time_ns):%d %b}"


def length(length_ns: int) -> str:
    """``7 days``, ``3.5 days``, ``12 hours``, ``30 minutes``."""
    for unit_ns, word in ((DAY_NS, "day"), (DAY_NS // 24, "hour"), (DAY_NS // 1440, "minute")):
        number = round(length_ns / unit_ns, 1)
        if number >= 1:
            return f"{number:g} {word}{'' if number == 1 else 's'}"
    return "less than a minute"


def _local(time_ns: int) -> datetime:
    return datetime.fromtimestamp(time_ns / 1e9).astimezone()
