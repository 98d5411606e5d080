"""A health check as its page shows it: what it finds now, and how it was."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from otel_django import names
from otel_django.health.results import VALUES
from otel_django.viewer import search, search_terms, units

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from otel_django.health.results import CheckReport, Result, State
    from otel_django.viewer.series import Values
    from otel_django.viewer.visit import Visit

MOST_FINDINGS: Final = 12
NOTABLE_S: Final = 1.0
"""A look that takes less isn't told of, as there is something to show."""
_UNITS: Final = {"ratio": "1", "bytes": "By", "s": "s", "ms": "ms", "days": "{day}"}
"""How names of figures end, and what that means."""


class Look(NamedTuple):
    """A state's shape and class; ``badness`` is the larger, the worse."""

    glyph: str
    colour: str
    badness: int


LOOKS: Final[Mapping[State, Look]] = {
    "healthy": Look("✓", "good", 0),
    "pending": Look("…", "quiet", 1),
    "degraded": Look("!", "warn", 2),
    "unhealthy": Look("✗", "bad", 3),
}


class Piece(NamedTuple):
    """Steps alike of a course, in percent of its length."""

    begin: str
    length: str
    state: State


class Finding(NamedTuple):
    """One result; ``figures`` are what was observed, in words."""

    result: Result
    look: Look
    figures: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Row:
    """``course`` has a value for each step of the range, or nothing."""

    report: CheckReport
    visit: Visit
    course: Values

    @property
    def look(self) -> Look:
        """Of its state."""
        return LOOKS[self.report.status]

    # --- what the table is sorted by

    @property
    def badness(self) -> int:
        """The larger, the worse."""
        return self.look.badness

    @property
    def name(self) -> str:
        """The check's."""
        return self.report.name

    @property
    def message(self) -> str:
        """Of the worst finding."""
        return self.report.message

    @property
    def duration_s(self) -> float | None:
        """How long it took."""
        return self.report.duration_s

    @property
    def age_s(self) -> float | None:
        """How old its findings are."""
        return self.report.age_s

    @property
    def well(self) -> float | None:
        """How much of what is known of the range it was healthy."""
        known = [value for value in self.course if value is not None]
        return sum(value == VALUES["healthy"] for value in known) / len(known) if known else None

    # --- what is shown

    @property
    def took_ns(self) -> float | None:
        """``duration_s``, for columns."""
        return None if self.duration_s is None else self.duration_s * 1e9

    @property
    def seen(self) -> str:
        """``age_s`` in words."""
        return "–" if self.age_s is None else units.age(self.age_s)

    @property
    def running(self) -> str:
        """How long a newer look has been under way; empty where there is none worth telling."""
        running_s = self.report.running_s
        if running_s is None or (self.report.results and running_s < NOTABLE_S):
            return ""
        return units.duration(running_s * 1e9)

    @property
    def findings(self) -> list[Finding]:
        """The worst first."""
        found = sorted(self.report.results, key=lambda result: VALUES[result.status])
        return [
            Finding(result, LOOKS[result.status], tuple(_figures(result)))
            for result in found[:MOST_FINDINGS]
        ]

    @property
    def more(self) -> int:
        """How many findings aren't shown."""
        return max(0, len(self.report.results) - MOST_FINDINGS)

    @property
    def pieces(self) -> list[Piece]:
        """``course`` as it is drawn."""
        return list(_pieces(self.course))

    # --- where to go on

    @property
    def traces(self) -> str:
        """Each time it failed or was slow."""
        term = search_terms.written("name", f"{names.HEALTH_SPAN} {self.name}")
        return self.visit.url("traces", q=term)

    @property
    def logs(self) -> str:
        """When it became worse or better."""
        term = search_terms.written("event", names.HEALTH_CHECK_CHANGED)
        return self.visit.url("logs", q=search.with_term(term, names.HEALTH_CHECK_NAME, self.name))


def _figures(result: Result) -> Iterator[tuple[str, str]]:
    for name, value in result.observed.items():
        words, _, end = name.rpartition("_")
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if is_number and words and end in _UNITS:
            yield words.replace("_", " "), units.measured(float(value), _UNITS[end])
        else:
            yield name.replace("_", " "), units.short(value) if is_number else str(value)


def _pieces(course: Sequence[float | None]) -> Iterator[Piece]:
    begin = 0
    for value, steps in itertools.groupby(course):
        length = len(list(steps))
        if value is not None:
            share = 100 / len(course)
            yield Piece(f"{begin * share:.2f}", f"{length * share:.2f}", _state(value))
        begin += length


def _state(value: float) -> State:
    return min(VALUES, key=lambda state: abs(VALUES[state] - value))
