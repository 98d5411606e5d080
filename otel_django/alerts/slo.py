"""Service level objectives: what share of requests has to go well, and what is left of the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from otel_django import metric_definitions as metrics
from otel_django import names
from otel_django.alerts.errors import RuleError
from otel_django.alerts.expressions import (
    BY_SERVICE,
    Above,
    BurnRate,
    Match,
    Rate,
    Ratio,
    select,
)
from otel_django.alerts.promql import during

DAY_S: Final = 86400
FAILED: Final = Match(names.HTTP_RESPONSE_STATUS_CODE, "=~", "5..")


def failures(
    window_s: int, by: tuple[str, ...] = BY_SERVICE, where: tuple[Match, ...] = ()
) -> Ratio:
    """The share of requests that are answered with 5xx."""
    duration = metrics.HTTP_SERVER_REQUEST_DURATION
    return Ratio(
        Rate(select(duration, FAILED, *where), window_s, by, "count"),
        Rate(select(duration, *where), window_s, by, "count"),
    )


def slow(
    bound_s: float, window_s: int, by: tuple[str, ...] = BY_SERVICE, where: tuple[Match, ...] = ()
) -> Above:
    """The share of requests that take longer than ``bound_s``."""
    return Above(select(metrics.HTTP_SERVER_REQUEST_DURATION, *where), bound_s, window_s, by)


@dataclass(frozen=True, slots=True)
class Objective:
    """``share`` is what counts against it; ``target`` (0.999) how much has to go well.

    The budget is that of the last ``days``.
    """

    name: str
    share: Ratio | Above
    target: float
    days: int = 30

    def __post_init__(self) -> None:
        if not 0 < self.target < 1:
            raise RuleError(f"The objective {self.name!r} needs a target between 0 and 1.")

    @property
    def budget(self) -> float:
        """The share that may fail."""
        return round(1 - self.target, 9)

    def burn_rate(self, long_s: int, short_s: int) -> BurnRate:
        """How fast the budget is spent."""
        return BurnRate(self.share, self.budget, long_s, short_s)

    def spent(self, window_s: int) -> Ratio | Above:
        """The share that failed within a window."""
        return during(self.share, window_s)


class Budget(NamedTuple):
    """Shares of the budget; ``remaining`` is negative once it is overspent."""

    spent: float
    remaining: float


def budget(objective: Objective, failed: float) -> Budget:
    """What a share of failures over the objective's days leaves of its budget."""
    spent = failed / objective.budget
    return Budget(spent, 1 - spent)


def availability(target: float) -> Objective:
    """Requests that aren't answered with 5xx."""
    return Objective("availability", failures(300), target)


def latency(target: float, bound_s: float) -> Objective:
    """Requests that take ``bound_s`` at most."""
    bounds = metrics.HTTP_SERVER_REQUEST_DURATION.bounds
    if bound_s not in bounds:
        nearest = min(bounds, key=lambda bound: abs(bound - bound_s))
        raise RuleError(
            f"A latency objective needs a bucket's bound; the nearest is {nearest:g} s."
        )
    return Objective("latency", slow(bound_s, 300), target)
