"""How far back the embedded store goes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from otel_django.backends.embedded_session import TIMEOUT_S, session

FIRST: Final = 1
"""The id of a store's first slice."""


class EmbeddedKeptReader:
    """Of the store at ``path``; cheap to make."""

    def __init__(self, path: Path, timeout_s: float = TIMEOUT_S) -> None:
        self.path = path
        self._timeout_s = timeout_s

    def since_ns(self) -> int | None:
        """From when on telemetry is kept, where older has made room; None: all there ever was."""
        with session(self.path, self._timeout_s) as read:
            oldest = read.slices[-1] if read.slices else None
        return None if oldest is None or oldest.id == FIRST else oldest.started_ns
