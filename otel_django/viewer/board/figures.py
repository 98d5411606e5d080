"""A figure with what it was an hour ago, and a part of the system with its figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from otel_django.viewer import chart, units
from otel_django.viewer.check_rows import LOOKS, Look

if TYPE_CHECKING:
    from otel_django.health.results import CheckReport
    from otel_django.viewer.series import Values

State = Literal["healthy", "degraded", "unhealthy", "pending", "unknown"]
"""``unknown``: nothing looks at it, or it isn't there."""
UNKNOWN: Final = Look("–", "quiet", -1)
SAME: Final = 0.005
"""A change by less isn't told."""
_ROUGH: Final = 0.1
"""From there on whole percents do."""
MOST_CHANGE: Final = 10.0
"""Beyond that the figure of an hour ago says more than a percentage."""


def look_of(state: State) -> Look:
    """A state's shape and colour."""
    return UNKNOWN if state == "unknown" else LOOKS[state]


def worst(states: Sequence[State]) -> State:
    """Of several; ``unknown`` where there is none."""
    return max(states, key=lambda state: look_of(state).badness, default="unknown")


@dataclass(frozen=True, slots=True)
class Figure:
    """``value`` and ``before``, an hour ago, are in ``unit``; None: not known.

    ``worse`` is 1 where more is worse, -1 where less is, 0 where neither. ``since_start`` says that
    it is of all the time since the processes began.
    """

    name: str
    title: str
    unit: str
    value: float | None
    before: float | None = None
    state: State = "healthy"
    worse: int = 0
    since_start: bool = False

    @property
    def words(self) -> str:
        """The value with its unit, unless the title has said what is counted."""
        if self.value is None:
            return "–"
        thing = self.unit.strip("{}")
        is_said = self.unit == f"{{{thing}}}" and thing in self.title.lower()
        return units.measured(self.value, "" if is_said else self.unit)

    @property
    def colour(self) -> str:
        """Where it isn't well."""
        return look_of(self.state).colour if self.state in {"degraded", "unhealthy"} else ""

    @property
    def change(self) -> str:
        """Against an hour ago: ``+38 %``, of shares ``+3 points``; empty where it isn't known."""
        if self.value is None or self.before is None:
            return ""
        by = self.value - self.before
        if self.unit == "1":
            points = round(100 * by, 1)
            return f"{_sign(by)}{abs(points):g} points" if points else "as before"
        if self.value == self.before or abs(by) < SAME * abs(self.before):
            return "as before"
        if not self.before or abs(by / self.before) > MOST_CHANGE:
            return f"was {units.measured(self.before, self.unit)}"
        ratio = abs(by / self.before)
        return f"{_sign(by)}{f'{100 * ratio:.0f} %' if ratio >= _ROUGH else units.share(ratio)}"

    @property
    def change_colour(self) -> str:
        """Whether that is for the worse."""
        if not self.worse or self.change in {"", "as before"}:
            return "quiet"
        by = (self.value or 0.0) - (self.before or 0.0)
        return "warn" if by * self.worse > 0 else "good"


def _sign(value: float) -> str:
    return "+" if value > 0 else "−"


@dataclass(frozen=True, slots=True)
class Cell:
    """Of a table; ``address`` is where it leads, below the pages' prefix."""

    words: str
    address: str = ""
    colour: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """``numbers`` are the columns of figures, from 0 on."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]
    numbers: frozenset[int] = frozenset()
    more: int = 0


@dataclass(frozen=True, slots=True)
class Subject:
    """A part of the system. ``figures`` are the three that matter, ``more`` the others.

    ``why`` says what is wrong, ``missing`` what could not be read. ``course`` is of the figure
    ``course_of``, a value a minute. ``page`` is the name of the viewer's page to go on to.
    """

    name: str
    title: str
    state: State
    figures: tuple[Figure, ...]
    more: tuple[Figure, ...] = ()
    why: str = ""
    course: Values = field(default_factory=list)
    course_of: str = ""
    checks: tuple[CheckReport, ...] = ()
    tables: tuple[Table, ...] = ()
    page: str = ""
    missing: str = ""

    @property
    def look(self) -> Look:
        """Of its state."""
        return look_of(self.state)

    @property
    def spark(self) -> list[str]:
        """``course`` as it is drawn."""
        return chart.spark(self.course)

    @property
    def age_s(self) -> float | None:
        """How long ago the check that was asked longest ago was."""
        ages = [check.age_s for check in self.checks if check.age_s is not None]
        return max(ages, default=None)

    @property
    def seen(self) -> str:
        """``age_s`` in words."""
        return "–" if self.age_s is None else units.age(self.age_s)
