"""What slices that have ended answered, kept for the next read: nobody writes to them any more."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from typing import Any, Final

MOST_BYTES: Final = 16 * 1024 * 1024
"""Of all answers that a process keeps; a single one may have an eighth of it."""
_ROW_BYTES: Final = 64
_CELL_BYTES: Final = 40


class Memory:
    """Answers by what was asked; the oldest make room for others.

    Safe on any thread, also in the child of a fork: who finds it in use does without.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._answers: dict[Hashable, tuple[Any, int]] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, asked: Hashable) -> Any | None:
        """None: it isn't kept."""
        found = self._answers.get(asked)
        return None if found is None else found[0]

    def put(self, asked: Hashable, answer: Any, size_bytes: int) -> None:
        """Keep it, unless it is too large; nobody may change it."""
        if size_bytes > self._most_bytes // 8 or not self._lock.acquire(blocking=False):
            return
        try:
            if asked not in self._answers:
                self._answers[asked] = (answer, size_bytes)
                self._bytes += size_bytes
            while self._bytes > self._most_bytes:
                _, oldest_bytes = self._answers.pop(next(iter(self._answers)))
                self._bytes -= oldest_bytes
        finally:
            self._lock.release()


MEMORY: Final = Memory()


def size_bytes(rows: Sequence[Sequence[Any]], *texts: str) -> int:
    """About how much memory rows take, and the texts that they are asked for by."""
    cells = sum(
        _ROW_BYTES + sum(len(c) if isinstance(c, str) else 0 for c in row) + _CELL_BYTES * len(row)
        for row in rows
    )
    return _ROW_BYTES + cells + sum(map(len, texts))
