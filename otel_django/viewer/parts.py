"""Pages of several parts: what can't be read leaves the others standing, and is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from otel_django.errors import ReadError

if TYPE_CHECKING:
    from collections.abc import Callable

Answer = TypeVar("Answer")


class Parts:
    """Asks for the parts of a page; ``_partial.html`` says which are missing, and why."""

    def __init__(self) -> None:
        self._missing: dict[str, list[str]] = {}
        self._said: list[str] = []

    @property
    def notes(self) -> list[str]:
        """One for each reason, then what pages had to say themselves."""
        missing = [f"{', '.join(whats)}: {why}" for why, whats in self._missing.items()]
        return missing + self._said

    def ask(self, what: str, question: Callable[[], Answer]) -> Answer | None:
        """None where it can't be read, and a note."""
        try:
            return question()
        except ReadError as error:
            self._missing.setdefault(str(error), []).append(what)
            return None

    def say(self, note: str) -> None:
        """What else is missing; nothing if ``note`` is empty."""
        if note:
            self._said.append(note)
