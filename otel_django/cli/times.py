"""Lengths of time and moments as people write them on a command line."""

from __future__ import annotations

import argparse
import re
from datetime import datetime
from typing import Final

SECOND_NS: Final = 1_000_000_000
UNITS_NS: Final = {
    "s": SECOND_NS,
    "m": 60 * SECOND_NS,
    "h": 3600 * SECOND_NS,
    "d": 86_400 * SECOND_NS,
}


def length_ns(text: str) -> int:
    """``90s``, ``30m``, ``2h`` or ``1.5d``, in nanoseconds."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)\s*([smhd])", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no length of time; write 30m, 2h or 1.5d")
    return int(float(match[1]) * UNITS_NS[match[2]])


def seconds(text: str) -> float:
    """A plain number, or a length such as ``90s``, in seconds."""
    match = re.fullmatch(r"\d{1,9}(?:\.\d*)?", text.strip())
    return float(match[0]) if match else length_ns(text) / SECOND_NS


def moment_ns(text: str, now_ns: int) -> int:
    """A length of time ago, or a date and time in ISO 8601 (local, where it has no zone)."""
    try:
        return now_ns - length_ns(text)
    except argparse.ArgumentTypeError:
        pass
    try:
        return int(datetime.fromisoformat(text.strip().replace("Z", "+00:00")).timestamp() * 1e9)
    except (ValueError, OverflowError, OSError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time; write 30m, 2h, 1.5d or 2026-01-31T12:00"
        ) from None
