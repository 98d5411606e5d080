"""What a form's values are at a moment, by Prometheus's rules.

Rates are extrapolated to the window's ends, what falls is a reset, a series is of today for five
minutes after its last sample, NaN is no value. Windows are open on the left, as since
Prometheus 3.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, NamedTuple, Protocol

from otel_django import names
from otel_django.alerts import arithmetic
from otel_django.alerts import expressions as forms
from otel_django.alerts.promql import PRESENCE, during
from otel_django.alerts.rules import COMPARE, Rule, Severity
from otel_django.alerts.state import Breach, Key, Labels

LOOKBACK_MS: Final = 300_000


class Sample(NamedTuple):
    """A value, and the time of the newest sample it is made of."""

    value: float
    time_ms: int


class Series(NamedTuple):
    """One series. ``times_ms`` ascend; ``le`` is among the labels of a histogram's buckets."""

    labels: Mapping[str, str]
    times_ms: Sequence[int]
    values: Sequence[float]


class Source(Protocol):
    """Where series come from; as dense as a scrape's, so that a gap is one."""

    def series(
        self, of: forms.Selector, part: forms.Part, since_ms: int, until_ms: int
    ) -> Sequence[Series]:
        """Those that match, with all samples between both times, which belong to it."""
        ...

    def error_groups(self, form: forms.ErrorGroups, now_ms: int) -> Sequence[Mapping[str, str]]:
        """The labels of the groups that the form asks for."""
        ...


Values = dict[Labels, Sample]


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Evaluates forms on ``source``. ``left_open`` False is how Prometheus 2 takes windows."""

    source: Source
    left_open: bool = True

    def values(self, form: forms.Expression, now_ms: int) -> Values:
        """The form's value for each set of labels; OnlyPromql has none."""
        evaluate = _EVALUATE.get(type(form))
        found = evaluate(self, form, now_ms) if evaluate else {}
        return {labels: one for labels, one in found.items() if not math.isnan(one.value)}

    def breaches(self, rule: Rule, now_ms: int) -> dict[Key, Breach]:
        """What of a rule is at fault at ``now_ms``."""
        found: dict[Key, Breach] = {}
        known: dict[forms.Expression, Values] = {}
        for severity in rule.severities:
            form = rule.expression_of(severity)
            if form not in known:
                known[form] = self.values(form, now_ms)
            found.update(_at_fault(rule, severity, known[form]))
        return found

    # --- series

    def window(
        self, of: forms.Selector, part: forms.Part, window_ms: int, now_ms: int
    ) -> list[Series]:
        """Samples of the window; series without any are left out."""
        since_ms = now_ms - window_ms
        first = since_ms + 1 if self.left_open else since_ms
        cut = (_cut(one, first, now_ms) for one in self.source.series(of, part, first, now_ms))
        return [one for one in cut if one.times_ms]

    def instant(self, of: forms.Selector, now_ms: int) -> list[Series]:
        """The newest sample of each series that is of today."""
        found = self.window(of, "value", LOOKBACK_MS, now_ms)
        return [Series(one.labels, one.times_ms[-1:], one.values[-1:]) for one in found]


def _at_fault(rule: Rule, severity: Severity, values: Values) -> Iterable[tuple[Key, Breach]]:
    for labels, sample in values.items():
        if rule.breached(severity, sample.value):
            merged = tuple(sorted({**dict(labels), **rule.labels}.items()))
            yield Key(rule.name, severity, merged), Breach(*sample)


def _cut(one: Series, first_ms: int, last_ms: int) -> Series:
    begin, end = bisect_left(one.times_ms, first_ms), bisect_right(one.times_ms, last_ms)
    return Series(one.labels, one.times_ms[begin:end], one.values[begin:end])


def _labels(labels: Mapping[str, str], by: Sequence[str]) -> Labels:
    return tuple(sorted((key, labels[key]) for key in by if labels.get(key)))


def _combined(
    found: Iterable[tuple[Labels, Sample]], combine: Callable[[Sequence[float]], float]
) -> Values:
    groups: dict[Labels, list[Sample]] = defaultdict(list)
    for labels, sample in found:
        groups[labels].append(sample)
    return {
        labels: Sample(combine([one.value for one in samples]), max(one.time_ms for one in samples))
        for labels, samples in groups.items()
    }


def _rates(
    evaluator: Evaluator, of: forms.Selector, part: forms.Part, window_s: int, now_ms: int
) -> Iterable[tuple[Mapping[str, str], Sample]]:
    window_ms = window_s * 1000
    for one in evaluator.window(of, part, window_ms, now_ms):
        gain = arithmetic.increase(one.times_ms, one.values, now_ms - window_ms, now_ms)
        if gain is not None:
            yield one.labels, Sample(gain / window_s, one.times_ms[-1])


# --- forms


def _rate(evaluator: Evaluator, form: forms.Rate, now_ms: int) -> Values:
    rates = _rates(evaluator, form.of, form.part, form.window_s, now_ms)
    return _combined(((_labels(labels, form.by), one) for labels, one in rates), sum)


def _increase(evaluator: Evaluator, form: forms.Increase, now_ms: int) -> Values:
    ago_ms = now_ms - form.window_s * 1000
    newborn = _newborn(evaluator, form.of, ago_ms, now_ms)
    found = [(_labels(labels, form.by), one) for labels, one in newborn.values()]
    for labels, one in _rates(evaluator, form.of, "value", form.window_s, now_ms):
        if _all(labels) not in newborn:
            grown = Sample(one.value * form.window_s, one.time_ms)
            found.append((_labels(labels, form.by), grown))
    return _combined(found, sum)


def _newborn(
    evaluator: Evaluator, of: forms.Selector, ago_ms: int, now_ms: int
) -> dict[Labels, tuple[Mapping[str, str], Sample]]:
    """Series that weren't there at ``ago_ms``, of processes that were."""
    before = {_all(one.labels) for one in evaluator.instant(of, ago_ms)}
    new = [one for one in evaluator.instant(of, now_ms) if _all(one.labels) not in before]
    if not new:
        return {}
    there = {_owner(one) for one in evaluator.instant(forms.select(PRESENCE), ago_ms)}
    return {
        _all(one.labels): (one.labels, Sample(one.values[-1], one.times_ms[-1]))
        for one in new
        if _owner(one) in there
    }


def _all(labels: Mapping[str, str]) -> Labels:
    return _labels(labels, tuple(labels))


def _owner(one: Series) -> tuple[str, str]:
    return (
        one.labels.get(names.SERVICE_NAME, ""),
        one.labels.get(names.SERVICE_INSTANCE_ID, ""),
    )


def _ratio(evaluator: Evaluator, form: forms.Ratio, now_ms: int) -> Values:
    parts = evaluator.values(form.part, now_ms)
    wholes = evaluator.values(form.whole, now_ms)
    nothing = Sample(0.0, 0)
    return {labels: _divided(parts.get(labels, nothing), whole) for labels, whole in wholes.items()}


def _divided(part: Sample, whole: Sample) -> Sample:
    value = part.value / whole.value if whole.value else math.copysign(math.inf, part.value)
    no_value = not whole.value and not part.value
    return Sample(math.nan if no_value else value, max(part.time_ms, whole.time_ms))


def _buckets(
    evaluator: Evaluator, form: forms.Quantile | forms.Above, now_ms: int
) -> dict[Labels, dict[float, Sample]]:
    """Rates of measurements up to each bound."""
    found: dict[Labels, dict[float, Sample]] = defaultdict(dict)
    for labels, one in _rates(evaluator, form.of, "bucket", form.window_s, now_ms):
        group, bound = found[_labels(labels, form.by)], float(labels["le"])
        before = group.get(bound, Sample(0.0, 0))
        group[bound] = Sample(before.value + one.value, max(before.time_ms, one.time_ms))
    return found


def _quantile(evaluator: Evaluator, form: forms.Quantile, now_ms: int) -> Values:
    return {
        labels: Sample(
            arithmetic.quantile(
                form.share, sorted((bound, one.value) for bound, one in group.items())
            ),
            max(one.time_ms for one in group.values()),
        )
        for labels, group in _buckets(evaluator, form, now_ms).items()
    }


def _above(evaluator: Evaluator, form: forms.Above, now_ms: int) -> Values:
    counts = evaluator.values(forms.Rate(form.of, form.window_s, form.by, "count"), now_ms)
    found: Values = {}
    for labels, group in _buckets(evaluator, form, now_ms).items():
        if labels in counts and form.bound in group:
            within = _divided(group[form.bound], counts[labels])
            found[labels] = Sample(1 - within.value, within.time_ms)
    return found


def _mean(evaluator: Evaluator, form: forms.Mean, now_ms: int) -> Values:
    sums, counts = (
        evaluator.values(forms.Rate(form.of, form.window_s, form.by, part), now_ms)
        for part in ("sum", "count")
    )
    return {key: _divided(sums[key], counts[key]) for key in sums.keys() & counts.keys()}


def _level(evaluator: Evaluator, form: forms.Level, now_ms: int) -> Values:
    now_ms -= form.ago_s * 1000
    if form.over == "last":
        found = evaluator.instant(form.of, now_ms)
    else:
        found = evaluator.window(form.of, "value", form.window_s * 1000, now_ms)
    over = arithmetic.OVER[form.over]
    each = (
        (_labels(one.labels, form.by), Sample(over(one.values), one.times_ms[-1])) for one in found
    )
    return _combined(each, arithmetic.COMBINE[form.combine])


def _absence(evaluator: Evaluator, form: forms.Absence, now_ms: int) -> Values:
    part: forms.Part = "count" if form.of.kind.endswith("histogram") else "value"
    if evaluator.window(form.of, part, form.window_s * 1000, now_ms):
        return {}
    equal = {one.key: one.value for one in form.of.where if one.operator == "="}
    return {_all(equal): Sample(1.0, now_ms)}


def _burn_rate(evaluator: Evaluator, form: forms.BurnRate, now_ms: int) -> Values:
    long, short = (
        evaluator.values(during(form.share, window_s), now_ms)
        for window_s in (form.long_s, form.short_s)
    )
    return {
        labels: Sample(min(long[labels].value, one.value) / form.budget, one.time_ms)
        for labels, one in short.items()
        if labels in long
    }


def _trend(evaluator: Evaluator, form: forms.Trend, now_ms: int) -> Values:
    window_ms = form.window_s * 1000
    known = {
        _all(one.labels) for one in evaluator.instant(form.of, now_ms - form.window_s // 2 * 1000)
    }
    now = {_all(one.labels): one for one in evaluator.instant(form.of, now_ms)}
    found: list[tuple[Labels, Sample]] = []
    for one in evaluator.window(form.of, "value", window_ms, now_ms):
        key = _all(one.labels)
        slope = arithmetic.slope(one.times_ms, one.values)
        if key in known and key in now and slope is not None and slope > 0:
            left = (form.limit - now[key].values[-1]) / slope
            found.append((_labels(one.labels, form.by), Sample(left, one.times_ms[-1])))
    return _combined(found, min)


def _growing(evaluator: Evaluator, form: forms.Growing, now_ms: int) -> Values:
    part_ms = form.window_s // form.parts * 1000
    level = forms.Level(form.of, by=form.by)
    courses = [evaluator.values(level, now_ms - part * part_ms) for part in range(form.parts + 1)]
    found: Values = {}
    for labels, last in courses[0].items():
        course = [one[labels].value for one in courses if labels in one]
        rises = all(late > early for late, early in pairwise(course))
        if len(course) == len(courses) and rises:
            found[labels] = Sample(course[0] - course[-1], last.time_ms)
    return found


def _scaled(evaluator: Evaluator, form: forms.Scaled, now_ms: int) -> Values:
    return {
        labels: one._replace(value=form.factor * one.value)
        for labels, one in evaluator.values(form.of, now_ms).items()
    }


def _when(evaluator: Evaluator, form: forms.When, now_ms: int) -> Values:
    holds = {
        _labels(dict(labels), form.on)
        for labels, one in evaluator.values(form.condition, now_ms).items()
        if COMPARE[form.operator](one.value, form.bound)
    }
    return {
        labels: one
        for labels, one in evaluator.values(form.value, now_ms).items()
        if (_labels(dict(labels), form.on) in holds) != form.unless
    }


def _error_groups(evaluator: Evaluator, form: forms.ErrorGroups, now_ms: int) -> Values:
    groups = evaluator.source.error_groups(form, now_ms)
    return {_all(labels): Sample(1.0, now_ms) for labels in groups}


_EVALUATE: Final[dict[type, Callable[[Evaluator, Any, int], Values]]] = {
    forms.Rate: _rate,
    forms.Increase: _increase,
    forms.Ratio: _ratio,
    forms.Quantile: _quantile,
    forms.Mean: _mean,
    forms.Level: _level,
    forms.Absence: _absence,
    forms.Above: _above,
    forms.BurnRate: _burn_rate,
    forms.Trend: _trend,
    forms.Growing: _growing,
    forms.Scaled: _scaled,
    forms.When: _when,
    forms.ErrorGroups: _error_groups,
}
