"""How many different ones there were: sketches of constant size that processes share.

HyperLogLog (Flajolet and others, 2007) over 64-bit hashes, with 4,096 registers: a standard error
of 1.6 %, and nearly none below some thousand. A register holds how rare the rarest of the hashes
was that fell to it; no hash can be had back from it. There is one sketch for each stretch of a
window's time; the window's number is that of its stretches put together.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

INDEX_BITS: Final = 12
REGISTERS: Final = 1 << INDEX_BITS
_RANK_BITS: Final = 64 - INDEX_BITS
_ALPHA: Final = 0.7213 / (1 + 1.079 / REGISTERS)
_FEW: Final = 2.5 * REGISTERS
_NUMBER_BYTES: Final = 4
_SKETCH_BYTES: Final = _NUMBER_BYTES + REGISTERS

Marks = dict[int, int]
"""Registers that were raised, and to what."""


class Window(NamedTuple):
    """The time up to now, in steps of which the last isn't over: less than a step too short."""

    name: str
    step_s: int
    steps: int


def mark(marks: Marks, hashed: int) -> None:
    """Note a 64-bit hash."""
    register = hashed >> _RANK_BITS
    rank = _RANK_BITS - (hashed & ((1 << _RANK_BITS) - 1)).bit_length() + 1
    if rank > marks.get(register, 0):
        marks[register] = rank


def estimate(registers: bytes) -> float:
    """How many different hashes there were."""
    ranks = Counter(registers)
    raw = _ALPHA * REGISTERS**2 / sum(many * 2.0**-rank for rank, many in ranks.items())
    if raw <= _FEW and ranks[0]:
        return REGISTERS * math.log(REGISTERS / ranks[0])
    return raw


class Sketches:
    """The sketches of some windows in ``memory``, ``size(windows)`` bytes that are zero at first.

    Each sketch begins with the number of its step since the epoch. Whoever writes must be alone.
    """

    def __init__(self, windows: Iterable[Window], memory: bytearray) -> None:
        self._memory = memory
        self._windows: Mapping[str, tuple[Window, int]] = dict(_places(windows))

    def raise_to(self, marks: Marks, now_s: float) -> list[slice]:
        """Put ``marks`` into each window's sketch of now; where that was."""
        memory = self._memory
        changed: list[slice] = []
        for window, start in self._windows.values():
            number = int(now_s // window.step_s)
            at = start + number % window.steps * _SKETCH_BYTES
            if self._number(at) != number:
                empty = number.to_bytes(_NUMBER_BYTES, "little") + bytes(REGISTERS)
                memory[at : at + _SKETCH_BYTES] = empty
            for register, rank in marks.items():
                place = at + _NUMBER_BYTES + register
                memory[place] = max(memory[place], rank)
            changed.append(slice(at, at + _SKETCH_BYTES))
        return changed

    def count(self, name: str, now_s: float, pause: Callable[[], object]) -> int:
        """How many there were in the window of that name; ``pause`` lets other threads go on."""
        window, start = self._windows[name]
        number = int(now_s // window.step_s)
        merged = bytes(REGISTERS)
        for step in range(window.steps):
            at = start + step * _SKETCH_BYTES
            if 0 <= number - self._number(at) < window.steps:
                registers = self._memory[at + _NUMBER_BYTES : at + _SKETCH_BYTES]
                merged = bytes(map(max, merged, registers))
                pause()
        return round(estimate(merged))

    def _number(self, at: int) -> int:
        return int.from_bytes(self._memory[at : at + _NUMBER_BYTES], "little")


def _places(windows: Iterable[Window]) -> Iterator[tuple[str, tuple[Window, int]]]:
    start = 0
    for window in windows:
        yield window.name, (window, start)
        start += window.steps * _SKETCH_BYTES


def size(windows: Iterable[Window]) -> int:
    """How many bytes the sketches of ``windows`` take."""
    return sum(window.steps * _SKETCH_BYTES for window in windows)
