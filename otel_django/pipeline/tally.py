"""What an exporter has done in this process, for those who tell of it."""

from __future__ import annotations

from collections import deque
from typing import Final

_MOST_UNTOLD: Final = 1000


class Tally:
    """``delivered`` items; ``operations`` that nobody has told of: seconds, and what went wrong."""

    def __init__(self) -> None:
        self.delivered = 0
        self.operations: deque[tuple[float, str | None]] = deque(maxlen=_MOST_UNTOLD)
