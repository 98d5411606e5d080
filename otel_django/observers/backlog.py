"""Which queues grow and grow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

LOOKS: Final = 4
"""In a row, each with more messages than the one before."""
LONG: Final = 100
"""Messages from which on a queue is worth a word."""


class Grown(NamedTuple):
    """A queue that has grown from ``before`` to ``length``."""

    queue: str
    before: int
    length: int


class Backlog:
    """Told of all lengths at each look; tells of a queue once, until it has shrunk."""

    def __init__(self) -> None:
        self._rising: dict[str, list[int]] = {}
        self._told: set[str] = set()

    def look(self, lengths: Mapping[str, int]) -> list[Grown]:
        """Those that have grown for so long, with this look."""
        grown = []
        for queue, length in lengths.items():
            rising = self._rising.get(queue, [])
            if rising and length < rising[-1]:
                self._told.discard(queue)
            rising = [*rising, length][-LOOKS - 1 :] if rising and length > rising[-1] else [length]
            self._rising[queue] = rising
            if len(rising) > LOOKS and length >= LONG and queue not in self._told:
                self._told.add(queue)
                grown.append(Grown(queue, rising[0], length))
        for queue in self._rising.keys() - lengths.keys():
            del self._rising[queue]
            self._told.discard(queue)
        return grown
