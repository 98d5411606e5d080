"""Where processes agree on who observes, and leave what was seen for the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from otel_django.errors import OtelDjangoError


class BoardAway(OtelDjangoError):
    """It can't be asked just now."""


class Result(NamedTuple):
    """What was left under a name, and how long ago."""

    text: str
    age_s: float


class Board(Protocol):
    """All may raise BoardAway. None waits for another process longer than a database does."""

    def claim(self, name: str, owner: str, ttl_s: float) -> bool:
        """Whether ``owner`` holds the lease, for ``ttl_s`` from now on if it isn't renewed."""
        ...

    def release(self, name: str, owner: str) -> None:
        """Let another one have it at once, if ``owner`` holds it."""
        ...

    def put(self, name: str, owner: str, text: str) -> bool:
        """Leave a result; False, and nothing, where ``owner`` doesn't hold the lease any more."""
        ...

    def get(self, name: str) -> Result | None:
        """What was left last."""
        ...

    def post(self, name: str, owner: str, text: str) -> None:
        """Leave a result under a name that is the owner's own, without a lease."""
        ...

    def posted(self, prefix: str) -> Mapping[str, Result]:
        """All that was left under names that begin so, without the prefix."""
        ...

    def remove(self, name: str, owner: str | None = None) -> None:
        """Take away what is there, if it is ``owner``'s (None: whosever it is)."""
        ...
