"""What a check found, and what all of them together say. No Django, no OpenTelemetry in here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from otel_django.errors import OtelDjangoError

Status = Literal["healthy", "degraded", "unhealthy"]
State = Literal["healthy", "degraded", "unhealthy", "pending"]
"""``pending``: never answered yet, and still within its time-out."""
Group = Literal["live", "ready", "startup", "all"]

GROUPS: Final[tuple[Group, ...]] = ("live", "ready", "startup", "all")
VALUES: Final[Mapping[State, float]] = {"healthy": 1.0, "degraded": 0.5, "unhealthy": 0.0}
"""As a metric's value."""
WORDS: Final[Mapping[State, str]] = {
    "healthy": "healthy",
    "degraded": "warning",
    "unhealthy": "critical",
}
"""As severities are called in ``HealthMetric``."""


class CheckError(OtelDjangoError):
    """A check raises it for what it checks being unhealthy.

    Its text, and no other exception's, is shown to staff and logged: it must hold no secret.
    """


@dataclass(frozen=True, slots=True)
class Result:
    """One finding. ``message`` is for people and holds no secret.

    ``observed`` are figures by name with the unit at the end (``used_ratio``, ``free_bytes``),
    plain JSON values. ``instance`` tells several findings of a check apart: an alias, a queue, a
    host; empty where there is one only.
    """

    status: Status = "healthy"
    message: str = ""
    observed: Mapping[str, Any] = field(default_factory=dict)
    instance: str = ""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """One check's last findings.

    ``age_s`` is how old they are, ``duration_s`` how long they took; None where there are none.
    ``running_s`` is how long a newer look has been under way, None if there is none.
    """

    name: str
    status: State
    critical: bool
    results: tuple[Result, ...] = ()
    duration_s: float | None = None
    age_s: float | None = None
    running_s: float | None = None

    @property
    def message(self) -> str:
        """The worst finding's message, with its instance in front."""
        if not self.results:
            return ""
        worst = min(self.results, key=lambda result: VALUES[result.status])
        if worst.instance and worst.message:
            return f"{worst.instance}: {worst.message}"
        return worst.message


@dataclass(frozen=True, slots=True)
class Report:
    """An answer. ``time_ns`` since the Unix epoch; ``duration_s`` is how long it took to give."""

    group: Group
    status: Status
    checks: tuple[CheckReport, ...]
    time_ns: int
    duration_s: float

    @property
    def ok(self) -> bool:
        """Whether it is a 200: degraded still is, unhealthy is a 503."""
        return self.status != "unhealthy"


def worst(results: Iterable[Result]) -> Status:
    """Of several findings; none at all is healthy."""
    return min((result.status for result in results), key=VALUES.__getitem__, default="healthy")


def overall(group: Group, checks: Iterable[CheckReport]) -> Status:
    """What the checks of a group say together.

    Unhealthy when a critical check is. In the groups ``ready`` and ``startup`` a critical one that
    is pending counts as unhealthy, too: nobody has seen yet that it works. Any other one that isn't
    healthy makes it degraded.
    """
    status: Status = "healthy"
    for check in checks:
        pending = check.status == "pending"
        failed = check.status == "unhealthy" or (pending and group in {"ready", "startup"})
        if failed and check.critical:
            return "unhealthy"
        if check.status != "healthy":
            status = "degraded"
    return status


CRITICAL_WEIGHT: Final = 3


def score(checks: Iterable[CheckReport]) -> float | None:
    """From 0 to 100: the mean of the checks' values, critical ones counted three times.

    Pending ones don't count; None where there is nothing to count.
    """
    weighted = [
        (CRITICAL_WEIGHT if check.critical else 1, VALUES[check.status])
        for check in checks
        if check.status != "pending"
    ]
    total = sum(weight for weight, _ in weighted)
    return 100 * sum(weight * value for weight, value in weighted) / total if total else None
