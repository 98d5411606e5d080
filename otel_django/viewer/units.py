"""Figures as people read them: always with a unit, and a sane one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

_BYTES: Final = ("B", "kB", "MB", "GB", "TB")
_THOUSANDS: Final = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
_SECONDS: Final = {"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0}
_RATES: Final = ((1, "s"), (60, "min"), (3600, "h"))
_MOST_MS_NS: Final = 100e9
_AGES: Final = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"))


def duration(ns: float) -> str:
    """``0 s``, ``82 µs``, ``4.1 ms``, ``412 ms``, ``1.24 s``, ``2.5 min``, ``3.1 h``."""
    if ns == 0:
        return "0 s"
    if ns < 999.5e3:
        return f"{ns / 1e3:.0f} µs"
    if ns < 999.5e6:
        return f"{ns / 1e6:.{1 if ns < 9.95e6 else 0}f} ms"
    if ns < 100e9:
        return f"{ns / 1e9:.{2 if ns < 9.995e9 else 1}f} s"
    if ns < 5400e9:
        return f"{ns / 60e9:.1f} min"
    return f"{ns / 3600e9:.1f} h"


def milliseconds(ns: float) -> str:
    """In ms throughout, for a column: ``0.42 ms``, ``4.1 ms``, ``1,240 ms``."""
    ms = ns / 1e6
    return f"{ms:,.{2 if ms < 0.995 else 1 if ms < 9.95 else 0}f} ms"


def count(number: float) -> str:
    """Whole numbers with separators: ``12,431``; others with as many digits as say something."""
    if float(number).is_integer():
        return f"{int(number):,}"
    return f"{number:,.{2 if abs(number) < 10 else 1 if abs(number) < 100 else 0}f}"


def short(number: float) -> str:
    """``3.4 k``, ``12 M``; below a thousand as ``count``."""
    for size, sign in _THOUSANDS:
        if abs(number) >= size:
            scaled = number / size
            return f"{scaled:.{1 if abs(scaled) < 10 else 0}f} {sign}"
    return count(number)


def rate(per_second: float) -> str:
    """``12/s``, ``5.7/s``; what happens less often ``3.4/min``, or ``5/h``."""
    if per_second >= 1000:
        return f"{short(per_second)}/s"
    if per_second >= 1 or per_second == 0:
        return f"{round(per_second, 1):g}/s"
    if per_second * 60 >= 0.95:
        return f"{round(per_second * 60, 1):g}/min"
    return f"{round(per_second * 3600, 1):g}/h"


def share(ratio: float) -> str:
    """``81 %``, ``0.4 %``; a little is never shown as none, nor almost all as all."""
    percent = 100 * ratio
    if 0 < percent < 0.05:
        return "< 0.1 %"
    if 99.95 < percent < 100:
        return "> 99.9 %"
    whole = percent >= 10 or percent == 0 or percent == round(percent)
    return f"{percent:.0f} %" if (whole and percent < 99) or percent == 100 else f"{percent:.1f} %"


def size(number: float) -> str:
    """``512 B``, ``4.1 kB``, ``96 MB``; a kilobyte has 1,000 bytes."""
    for sign in _BYTES:
        if abs(number) < 999.5 or sign == _BYTES[-1]:
            digits = 1 if sign != "B" and abs(number) < 9.95 else 0
            return f"{number:,.{digits}f} {sign}"
        number /= 1000
    raise AssertionError


def age(seconds: float) -> str:
    """``just now``, ``24 s ago``, ``2 min ago``, ``3 h ago``, ``5 d ago``."""
    if seconds < 1:
        return "just now"
    for length, sign in _AGES:
        if seconds >= length:
            return f"{int(seconds // length)} {sign} ago"
    return f"{int(seconds)} s ago"


def measured(value: float, unit: str) -> str:
    """In a unit of OpenTelemetry's: ``412 ms``, ``4.1 kB/s``, ``81 %``, ``12 k orders``.

    Seconds by seconds are a share: of a processor, of a day.
    """
    if not math.isfinite(value):
        return "–"
    plain, _, per = unit.partition("/")
    if unit in {"1", "s/s"}:
        return share(value)
    behind = f"/{per}" if per else ""
    if plain in _SECONDS:
        return duration(value * _SECONDS[plain]) + behind
    if plain == "By":
        return size(value) + behind
    if per == "s":
        return rate(value)
    thing = plain.strip("{}").replace("_", " ")
    if plain.startswith("{") and thing:
        value = round(value) if abs(value) >= 10 else value
        thing += "" if abs(value) == 1 or thing.endswith("s") else "s"
    return f"{short(value)} {thing}".rstrip() + behind


def alike(values: Sequence[float | None], unit: str) -> list[str]:
    """As ``measured``, for figures beside one another: one unit, as far as that is readable."""
    known = [value if value is not None and math.isfinite(value) else None for value in values]
    largest = max((abs(value) for value in known if value is not None), default=0.0)
    plain, _, per = unit.partition("/")
    length, sign = rate_scale(largest)

    def told(value: float) -> str:
        if not unit:
            return count(value)
        if is_rate(unit):
            scaled = value * length
            return f"{short(scaled) if scaled >= 1000 else f'{round(scaled, 2):g}'}/{sign}"
        if plain in _SECONDS and not per and largest * _SECONDS[plain] < _MOST_MS_NS:
            return milliseconds(value * _SECONDS[plain])
        return measured(value, unit)

    return ["–" if value is None else told(value) for value in known]


def is_rate(unit: str) -> bool:
    """Whether it counts things by the second, which can be by the minute as well."""
    plain, _, per = unit.partition("/")
    return per == "s" and plain not in {*_SECONDS, "By"}


def rate_scale(per_second: float) -> tuple[int, str]:
    """By what to multiply rates of which this is the largest, and by what time they are then."""
    return next((each for each in _RATES if per_second * each[0] >= 1), _RATES[0])
