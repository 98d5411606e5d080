"""Pages of several parts: what can't be read leaves the others standing, and is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from otel_django.errors import ReadError

if TYPE_CHECKING:
    from collections.abc import Callable

Answer = TypeVar("Answer")


class Parts:
    """Asks for the parts of a page; ``notes`` are what ``_partial.html`` says of those missing."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def ask(self, what: str, question: Callable[[], Answer]) -> Answer | None:
        """None where it can't be read, and a note."""
        try:
            return question()
        except ReadError as error:
            self.notes.append(f"{what}: {error}")
            return None
