"""Figures that a metric gives over a time, and step by step: each is written down once, as data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from otel_django.viewer.levels import last_known
from otel_django.viewer.series import LEVELS
from otel_django.web.metric_sums import Spread

if TYPE_CHECKING:
    from otel_django.alerts.rules import Rule, Severity
    from otel_django.health.results import State
    from otel_django.metric_points import MetricDefinition
    from otel_django.viewer.series import Reading, Values
    from otel_django.web.metric_sums import Sums

Form = Literal["rate", "gain", "mean", "p50", "p95", "p99", "share", "level"]
Which = Callable[[Mapping[str, Any]], bool]
_SHARES: Final[Mapping[str, float]] = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def every(_: Mapping[str, Any]) -> bool:
    """All series."""
    return True


@dataclass(frozen=True, slots=True)
class Measure:
    """``unit`` is OpenTelemetry's. ``which`` series count, by their attributes.

    A ``share`` is what is counted of ``which`` over what is counted of ``of``. A ``level`` is
    taken ``within`` the series of each set of values of ``by``, then those are put together as
    ``across`` says. ``rule`` is the alert rule whose thresholds, for ``scale`` times the value,
    colour it; ``worse`` is 1 where more is worse, -1 where less is, 0 where neither. ``window_s``
    is how long a time it tells of.
    """

    name: str
    title: str
    unit: str
    metric: MetricDefinition
    form: Form
    which: Which = every
    of: Which = every
    by: tuple[str, ...] = ()
    within: str = "max"
    across: str = "sum"
    rule: str = ""
    scale: float = 1.0
    worse: int = 0
    window_s: int = 300

    def value(self, part: Reading, whole: Reading) -> float | None:
        """Of a reading of one step; ``whole`` has the series ``of``. None: nothing is known."""
        if self.form == "level":
            return last_known(self.course(part, whole))
        group = part.all
        if self.form == "share":
            return _ratio(group.total, whole.all.total, known=whole.all.total)
        if self.form == "gain":
            return group.total
        if self.form == "rate":
            return _ratio(group.total, sum(part.lengths_s), known=group.total)
        if not group.spread.count:
            return None
        spread = group.spread
        return spread.mean if self.form == "mean" else spread.quantile_s(_SHARES[self.form])

    def course(self, part: Reading, whole: Reading) -> Values:
        """The same step by step."""
        group = part.all
        if self.form == "level":
            return _across([each.levels(self.within) for each in part.groups.values()], self.across)
        if self.form == "share":
            pairs = zip(group.counts, whole.all.counts, strict=True)
            return [_ratio(some, every, known=every) for some, every in pairs]
        if self.form == "gain":
            return group.counts
        if self.form == "rate":
            return group.rates
        return group.means if self.form == "mean" else group.quantiles(_SHARES[self.form])[0]

    def of_sums(self, sums: Sums) -> float | None:
        """Of all since the host's processes began; None for what only has a meaning over a time."""
        if self.form == "level":
            return self._level(sums)
        if self.form in {"rate", "gain"}:
            return None
        spread, whole = Spread(), Spread()
        counted = total = 0.0
        for attributes, point, metric in sums.points(self.metric):
            value = getattr(point, "value", 0.0)
            if self.of(attributes):
                whole.add(point, metric)
                total += value
            if self.which(attributes):
                spread.add(point, metric)
                counted += value
        if self.form == "share":
            return _ratio(counted or spread.count, total or whole.count, known=1)
        if not spread.count:
            return None
        return spread.mean if self.form == "mean" else spread.quantile_s(_SHARES[self.form])

    def _level(self, sums: Sums) -> float | None:
        rows: dict[tuple[str, ...], list[float]] = defaultdict(list)
        for attributes, value in sums.values(self.metric):
            if self.which(attributes):
                rows[tuple(str(attributes.get(name, "")) for name in self.by)].append(value)
        levels = [LEVELS[self.within](row) for row in rows.values()]
        return LEVELS[self.across](levels) if levels else None


def judged(measure: Measure, value: float | None, rules: Mapping[str, Rule]) -> State:
    """By the thresholds of its alert rule."""
    rule = rules.get(measure.rule)
    if value is None or rule is None or not rule.enabled:
        return "healthy"
    for severity, state in _SEVERITIES:
        if severity in rule.severities and rule.breached(severity, value * measure.scale):
            return state
    return "healthy"


_SEVERITIES: Final[tuple[tuple[Severity, State], ...]] = (
    ("critical", "unhealthy"),
    ("warning", "degraded"),
)


def _ratio(part: float | None, whole: float | None, *, known: float | None) -> float | None:
    if known is None or not whole:
        return None
    return (part or 0.0) / whole


def _across(courses: list[Values], how: str) -> Values:
    found: Values = []
    for row in zip(*courses, strict=True):
        known = [value for value in row if value is not None]
        found.append(LEVELS[how](known) if known else None)
    return found
