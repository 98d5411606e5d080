"""How far back the embedded store goes."""

from __future__ import annotations

from typing import Final

from otel_django.backends.embedded_session import StoreReader

FIRST: Final = 1
"""The id of a store's first slice."""


class EmbeddedKeptReader(StoreReader):
    """Of the store at ``path``; cheap to make."""

    def since_ns(self) -> int | None:
        """From when on telemetry is kept, where older has made room; None: all there ever was."""
        with self._session() as read:
            oldest = read.slices[-1] if read.slices else None
        return None if oldest is None or oldest.id == FIRST else oldest.started_ns
