"""Sums of floats that don't depend on the order of adding.

Added in another order, floats differ in their last bit. A sum of several processes would then fall
by that bit when one of them ends and its part is folded, and who computes rates of it would take
it for a sum that began anew.
"""

from __future__ import annotations

import math
from typing import Final

_UNIT_BITS: Final = 64
_UNITS: Final = float(1 << _UNIT_BITS)
_TAIL_LIMIT: Final = 1 << 63


class Exact(float):
    """A sum, rounded once; ``units`` is the sum itself in multiples of 2**-64."""

    __slots__ = ("units",)
    units: int

    @classmethod
    def of(cls, units: int) -> Exact:
        """The sum of so many units."""
        found = cls(units / (1 << _UNIT_BITS))  # of whole numbers this rounds correctly
        found.units = units
        return found


def plus(one: float, other: float) -> float:
    """The sum of two numbers or sums; whole numbers stay whole."""
    if isinstance(one, int) and isinstance(other, int):
        return one + other
    if math.isfinite(one) and math.isfinite(other):
        try:
            return Exact.of(_units(one) + _units(other))
        except OverflowError:
            pass  # beyond what floats hold at this fineness
    return float(one) + float(other)


def tail_of(number: float) -> int:
    """The units that the rounded sum lacks, as a signed number of 64 bits; 0 of plain numbers."""
    if type(number) is not Exact:
        return 0
    tail = number.units - _units(float(number))
    return tail if -_TAIL_LIMIT <= tail < _TAIL_LIMIT else 0


def with_tail(number: float, tail: int) -> float:
    """What ``tail_of`` was asked of."""
    return Exact.of(_units(number) + tail) if tail else number


def _units(number: float) -> int:
    if type(number) is Exact:
        return number.units
    if isinstance(number, int):
        return number << _UNIT_BITS
    return math.floor(number * _UNITS)
