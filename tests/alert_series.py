"""Series for tests of alert rules: what they would be in a store, in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from math import inf

from otel_django import names
from otel_django.alerts import expressions as forms
from otel_django.alerts.evaluate import Evaluator, Series
from otel_django.alerts.muting import fits
from otel_django.alerts.rules import Rule
from otel_django.alerts.state import Alert, Key, advance_all
from otel_django.metric_points import MetricDefinition

Course = Sequence[float | None]
"""A value for each step; None is a gap."""

OWNER: Mapping[str, str] = {
    names.SERVICE_NAME: "shop",
    names.SERVICE_INSTANCE_ID: "web-1/shop/web",
}


class Told:
    """A metric's series, of which a source tells."""

    def __init__(
        self,
        metric: MetricDefinition,
        values: Course,
        part: forms.Part = "value",
        /,
        **labels: str,
    ) -> None:
        self.of = forms.select(metric)
        self.part = part
        given = {key.replace("__", "."): value for key, value in labels.items()}
        self.labels = {**OWNER, **given}
        self.values = values


def flat(*phases: tuple[int, float | None]) -> list[float | None]:
    """``(steps, value)`` one after the other."""
    return [value for steps, value in phases for _ in range(steps)]


def counted(per_step: Iterable[float], *, begin: float = 0, reset_at: int = -1) -> list[float]:
    """A counter's course; at ``reset_at`` it begins anew."""
    total, course = begin, []
    for step, gain in enumerate(per_step):
        total = gain if step == reset_at else total + gain
        course.append(total)
    return course


def histogram(
    metric: MetricDefinition, measured: Sequence[float], per_step: float = 150, **labels: str
) -> list[Told]:
    """``per_step`` measurements a step of the value given for it."""
    told = [
        Told(
            metric,
            counted(per_step if value <= bound else 0 for value in measured),
            "bucket",
            **labels,
            le="+Inf" if bound == inf else f"{bound}",
        )
        for bound in (*metric.bounds, inf)
    ]
    sums = list(accumulate(value * per_step for value in measured))
    counts = counted(per_step for _ in measured)
    return [*told, Told(metric, sums, "sum", **labels), Told(metric, counts, "count", **labels)]


class Memory:
    """A ``Source`` of what is told every ``step_s``."""

    def __init__(
        self,
        told: Iterable[Told],
        step_s: int,
        groups: Callable[[forms.ErrorGroups, int], Sequence[Mapping[str, str]]] | None = None,
    ) -> None:
        self.told = list(told)
        self.step_ms = step_s * 1000
        self._groups = groups

    def series(
        self, of: forms.Selector, part: forms.Part, since_ms: int, until_ms: int
    ) -> list[Series]:
        """Those that match, between both times."""
        return [
            self._series(one, since_ms, until_ms)
            for one in self.told
            if one.of.metric == of.metric
            and one.part == part
            and all(fits(match, one.labels.get(match.key, "")) for match in of.where)
        ]

    def _series(self, one: Told, since_ms: int, until_ms: int) -> Series:
        timed = [
            (step * self.step_ms, value)
            for step, value in enumerate(one.values)
            if value is not None and since_ms <= step * self.step_ms <= until_ms
        ]
        return Series(one.labels, [at for at, _ in timed], [value for _, value in timed])

    def error_groups(self, form: forms.ErrorGroups, now_ms: int) -> Sequence[Mapping[str, str]]:
        """What the test says."""
        return self._groups(form, now_ms) if self._groups else []


def states(
    rule: Rule, source: Memory, steps: int, *, left_open: bool = True
) -> list[dict[Key, Alert]]:
    """The rule's alerts after each step."""
    evaluator = Evaluator(source, left_open)
    alerts: dict[Key, Alert] = {}
    course = []
    for step in range(steps):
        now_ms = step * source.step_ms
        alerts = advance_all(alerts, rule, evaluator.breaches(rule, now_ms), now_ms)
        course.append(alerts)
    return course


def fired(course: Iterable[Mapping[Key, Alert]]) -> set[str]:
    """The severities that fired at any step."""
    return {
        key.severity
        for alerts in course
        for key, alert in alerts.items()
        if alert.state == "firing"
    }
