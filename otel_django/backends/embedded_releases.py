"""Which versions of services ran when, from the embedded store."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from otel_django.backends.embedded_session import TIMEOUT_S, Session, session

if TYPE_CHECKING:
    from otel_django.roll_ups import Release


class EmbeddedReleaseReader:
    """A ``ReleaseReader`` of the store at ``path``; cheap to make."""

    def __init__(self, path: Path, timeout_s: float = TIMEOUT_S) -> None:
        self.path = path
        self._timeout_s = timeout_s

    def _session(self) -> AbstractContextManager[Session]:
        return session(self.path, self._timeout_s)

    def releases(self, since_ns: int, until_ns: int) -> tuple[Release, ...]:
        """None from slices of older schemas."""
        return ()
