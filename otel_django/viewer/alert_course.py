"""What a rule's expression came to over a range: the line that its thresholds are drawn across."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final

from otel_django.alerts.evaluate import Evaluator, Series
from otel_django.alerts.expressions import ErrorGroups, OnlyPromql
from otel_django.alerts.reading import StoreSource
from otel_django.viewer.chart import Line, chart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from otel_django.alerts.evaluate import Source, Values
    from otel_django.alerts.expressions import Part, Selector
    from otel_django.alerts.rules import Rule, Severity
    from otel_django.alerts.state import Labels
    from otel_django.contracts import MetricReader
    from otel_django.viewer.ranges import TimeRange

STEPS: Final = 60
DENSE_MS: Final = 6 * 3_600_000
"""Longer ranges would be read too coarsely for rates of five minutes: each step is by itself."""
MOST_LINES: Final = 8
_MS: Final = 1_000_000
_KNOWN: Final = frozenset({"s", "By"})
_SCALED: Final = {"ms": ("s", 1e-3), "%": ("1", 1e-2)}
"""Units that a chart says in others, which it has more words for."""


class _ReadOnce:
    """A source for steps that follow each other: each series is read once for all of them."""

    def __init__(self, source: Source, until_ms: int) -> None:
        self._source = source
        self._until_ms = until_ms
        self._known: dict[tuple[object, ...], tuple[int, Sequence[Series]]] = {}

    def series(self, of: Selector, part: Part, since_ms: int, until_ms: int) -> list[Series]:
        """Those of the time asked for, and later ones, which the evaluation leaves out."""
        key = (of, part, until_ms - since_ms)
        first_ms, found = self._known.get(key, (self._until_ms + 1, ()))
        if since_ms < first_ms:
            found = self._source.series(of, part, since_ms, self._until_ms)
            self._known[key] = (since_ms, found)
        return [_from(one, since_ms) for one in found]

    def error_groups(self, form: ErrorGroups, now_ms: int) -> list[Mapping[str, str]]:
        """They aren't drawn."""
        return []


def _from(one: Series, since_ms: int) -> Series:
    begin = bisect_left(one.times_ms, since_ms)
    return Series(one.labels, one.times_ms[begin:], one.values[begin:])


def can_be_drawn(rule: Rule) -> bool:
    """Whether it has values that the store knows."""
    return not isinstance(rule.expression, (ErrorGroups, OnlyPromql))


def course(
    reader: MetricReader,
    rule: Rule,
    severity: Severity,
    when: TimeRange,
    only: Labels | None = None,
) -> dict[str, Any] | None:
    """A chart of the rule's values, of one alert's labels or of all; None: there are none.

    ``every_ns`` says how far its points are apart where something may have been between them.
    """
    until_ms = when.until_ns // _MS
    length_ms = when.length_ns // _MS
    step_ms = max(1000, length_ms // STEPS)
    times_ms = list(range(until_ms - step_ms * STEPS, until_ms + 1, step_ms))
    is_dense = length_ms <= DENSE_MS
    source = StoreSource(reader)
    evaluator = Evaluator(_ReadOnce(source, until_ms) if is_dense else source)
    form = rule.expression_of(severity)
    values = [evaluator.values(form, time_ms) for time_ms in times_ms]
    lines = _lines(values, only, dict(rule.labels))
    if not lines:
        return None
    unit, factor = _SCALED.get(rule.unit, (_unit(rule.unit), 1.0))
    scaled = [line._replace(points=_times(factor, line.points)) for line in lines]
    drawn = chart(unit, [time_ms / 1000 for time_ms in times_ms], scaled)
    drawn["thresholds"] = [
        {"value": factor * rule.threshold(each).value, "name": f"{each} {rule.operator}"}
        for each in rule.severities
    ]
    drawn["every_ns"] = 0 if is_dense else step_ms * _MS
    return drawn


def _unit(word: str) -> str:
    """What is counted stands in braces, as OpenTelemetry has it, and not at an axis."""
    return word if word in _KNOWN or not word or "{" in word else f"{{{word}}}"


def _times(factor: float, points: Sequence[float | None]) -> list[float | None]:
    return [None if value is None else factor * value for value in points]


def _lines(values: Sequence[Values], only: Labels | None, own: Mapping[str, str]) -> list[Line]:
    known: dict[Labels, None] = {}
    for step in values:
        known.update(dict.fromkeys(step))
    if only is not None:
        known = {
            labels: None
            for labels in known
            if tuple(sorted({**dict(labels), **own}.items())) == only
        }
    lines = []
    for labels in known:
        points = [one.value if (one := step.get(labels)) else None for step in values]
        lines.append(Line(", ".join(value for _, value in labels)[:80] or "value", points))
    lines.sort(key=lambda line: max((abs(each) for each in line.points if each), default=0.0))
    return lines[::-1][:MOST_LINES]
