"""Groups of errors as pages show them: with their state, what is new, and their course."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otel_django.viewer.chart import spark

if TYPE_CHECKING:
    from otel_django.roll_ups import ErrorGroup, Release
    from otel_django.viewer.errors_state import Decision, Shown
    from otel_django.viewer.ranges import TimeRange

MINUTE_NS: Final = 60_000_000_000
SPARK_STEPS: Final = 30


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """``new`` is empty, ``new``, or the release that brought it (``new in 1.2.3``)."""

    group: ErrorGroup
    state: Shown
    new: str
    spark: Sequence[str]
    decision: Decision | None = None

    @property
    def what(self) -> str:
        """For sorting, as the properties below."""
        return f"{self.group.type} {self.group.message}"

    @property
    def where(self) -> str:
        """Route or task."""
        return self.group.where

    @property
    def count(self) -> int:
        """In the range."""
        return self.group.count

    @property
    def first(self) -> int:
        """Of all that is kept."""
        return self.group.first_ns

    @property
    def last(self) -> int:
        """In nanoseconds."""
        return self.group.last_ns

    @property
    def service(self) -> str:
        """Which it was seen in."""
        return self.group.service


def error_rows(
    groups: Sequence[ErrorGroup],
    decided: Mapping[str, Decision],
    releases: Iterable[Release],
    when: TimeRange,
) -> list[ErrorRow]:
    """One for each group. New is what came with the newest release of several; without releases
    what began in the range, if others began before.
    """
    newest = newest_releases(releases)
    is_old = any(group.first_ns < when.since_ns for group in groups)
    return [
        ErrorRow(
            group,
            decision.shown(group.last_ns) if decision else "open",
            novelty(group, newest, began_in=is_old and group.first_ns >= when.since_ns),
            spark(counts(group, when, max(MINUTE_NS, when.length_ns // SPARK_STEPS))),
            decision,
        )
        for group in groups
        for decision in [decided.get(group.fingerprint)]
    ]


def newest_releases(releases: Iterable[Release]) -> Mapping[str, str]:
    """Service → its newest version, of those that had one before."""
    by_age: dict[str, list[str]] = {}
    for release in sorted(releases, key=lambda each: each.first_ns):
        if release.version:
            by_age.setdefault(release.service, []).append(release.version)
    return {service: versions[-1] for service, versions in by_age.items() if len(versions) > 1}


def novelty(group: ErrorGroup, newest: Mapping[str, str], *, began_in: bool) -> str:
    """``new in 1.2.3``, ``new``, or nothing."""
    if group.releases and group.releases[0] == newest.get(group.service):
        return f"new in {group.releases[0]}"
    return "new" if began_in else ""


def counts(group: ErrorGroup, when: TimeRange, step_ns: int) -> list[int]:
    """How often in each step of the range."""
    first = when.since_ns // MINUTE_NS * MINUTE_NS
    found = [0] * (max(0, when.until_ns - first) // step_ns + 1)
    for minute, count in (group.minutes or {}).items():
        at = (minute * MINUTE_NS - first) // step_ns
        if 0 <= at < len(found):
            found[at] += count
    return found
