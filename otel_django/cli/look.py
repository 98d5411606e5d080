"""How things look in a terminal: its width, its colours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo

RESET, BOLD, DIM, RED, GREEN, AMBER, BLUE, MAGENTA, CYAN = (
    f"\x1b[{code}m" for code in (0, 1, 2, 31, 32, 33, 34, 35, 36)
)


@dataclass(frozen=True)
class Look:
    """How to draw: columns, whether in colour, the zone of times (None: local)."""

    width: int = 100
    color: bool = False
    zone: tzinfo | None = None

    def paint(self, text: str, *codes: str) -> str:
        """``text`` in a colour."""
        return f"{''.join(codes)}{text}{RESET}" if self.color and text and codes else text
