"""What a report is, whatever it is written as."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Column:
    """``say`` makes words of a row's value under ``key``; None is a dash.

    ``roomy`` columns are left out where there is little room.
    """

    key: str
    title: str
    say: Callable[[Any], str] = str
    text: bool = False
    roomy: bool = False

    def told(self, row: Mapping[str, Any]) -> str:
        """One cell."""
        value = row.get(self.key)
        return "–" if value is None else self.say(value)


@dataclass(frozen=True, slots=True)
class Section:
    """A table and the sentence before it, which says what to know of it.

    Texts may have come with telemetry. ``rows`` may have more than ``columns`` show, with units in
    their keys. ``is_bad``: somebody should look. ``page`` is the address of more, or empty.
    """

    key: str
    title: str
    answer: str
    columns: tuple[Column, ...] = ()
    rows: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    is_bad: bool = False
    page: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """``service`` is empty for all services. ``notes`` say what is missing of the whole."""

    site: str
    service: str
    since_ns: int
    until_ns: int
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()
    page: str = ""

    @property
    def title(self) -> str:
        """What it is a report of."""
        return f"{self.service or self.site}: report"
