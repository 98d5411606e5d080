"""What alerts are evaluated on: the points that a ``MetricReader`` has, as Prometheus would.

A store leaves points out while a value stays as it is, and thins those of long ago. Here every
``interval_ms`` there is a sample: the value goes on until the next point. After the last one it
does so for as long as a series may be silent, but for the newest two intervals, whose points may
only not have been written yet.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from math import inf
from typing import TYPE_CHECKING, Final

from otel_django import names
from otel_django.alerts.evaluate import Series
from otel_django.alerts.expressions import ERROR_GROUP
from otel_django.alerts.muting import fits
from otel_django.contracts import MetricQuery
from otel_django.metric_points import ExponentialPoint, NumberPoint
from otel_django.metrics.prometheus_families import powers_of_two, upper_bounds
from otel_django.metrics.prometheus_names import label_value

if TYPE_CHECKING:
    from otel_django.alerts.expressions import ErrorGroups, Match, Part, Selector
    from otel_django.contracts import MetricAnswer, MetricReader, MetricSeries
    from otel_django.metric_points import Point
    from otel_django.roll_ups import ErrorReader

SILENT_MS: Final = 300_000
"""A series without a point for longer has ended."""
SAMPLES: Final = 240
"""How many samples of a long window are enough."""
MAX_SERIES: Final = 5000
_MS: Final = 1_000_000
_OWN: Final = (names.SERVICE_NAME, names.SERVICE_INSTANCE_ID, "le")

Resolved = Callable[[Sequence[str]], Mapping[str, int]]
"""Fingerprints of error groups → when they were resolved, in nanoseconds."""


class StoreSource:
    """A ``Source`` for one evaluation of all rules: what it has read once, it doesn't read again.

    ``partial`` says what could not be read as a whole.
    """

    def __init__(
        self,
        metrics: MetricReader,
        errors: ErrorReader | None = None,
        resolved: Resolved = lambda _: {},
        interval_ms: int = 15_000,
    ) -> None:
        self.partial = ""
        self._metrics = metrics
        self._errors = errors
        self._resolved = resolved
        self._interval_ms = interval_ms
        self._read: dict[tuple[object, ...], list[_Course]] = {}

    def series(self, of: Selector, part: Part, since_ms: int, until_ms: int) -> list[Series]:
        """Those that match, with a sample at least every ``interval_ms``."""
        key = (of.metric, of.where, since_ms, until_ms)
        if key not in self._read:
            self._read[key] = list(self._courses(of, since_ms, until_ms))
        return [
            series
            for course in self._read[key]
            for series in course.parts(part)
            if fits_all(of.where, series.labels)
        ]

    def _courses(self, of: Selector, since_ms: int, until_ms: int) -> Iterator[_Course]:
        step_ms = max(self._interval_ms, (until_ms - since_ms) // SAMPLES)
        answer = self._ask(of, since_ms - SILENT_MS - step_ms, until_ms, step_ms)
        self.partial = self.partial or answer.partial
        for one in answer.series:
            timed = list(_filled(one.points, step_ms, until_ms - 2 * self._interval_ms))
            yield _Course(one, of.unit, [pair for pair in timed if since_ms <= pair[0] <= until_ms])

    def _ask(self, of: Selector, since_ms: int, until_ms: int, step_ms: int) -> MetricAnswer:
        equal = {one.key: one.value for one in of.where if one.operator == "=" and one.value}
        return self._metrics.read(
            MetricQuery(
                of.metric,
                since_ms * _MS,
                until_ms * _MS,
                step_ns=step_ms * _MS if step_ms > self._interval_ms else 0,
                service=equal.get(names.SERVICE_NAME),
                attributes={key: equal[key] for key in equal if key not in _OWN},
                max_series=MAX_SERIES,
            )
        )

    def error_groups(self, form: ErrorGroups, now_ms: int) -> list[Mapping[str, str]]:
        """Groups that were first seen in the window, or seen there after they were resolved."""
        if self._errors is None:
            return []
        since_ns = now_ms * _MS - form.window_s * 1_000_000_000
        page = self._errors.groups(since_ns, now_ms * _MS)
        resolved = self._resolved([group.fingerprint for group in page.groups])
        found: list[Mapping[str, str]] = []
        for group in page.groups:
            resolved_ns = resolved.get(group.fingerprint)
            came_back = resolved_ns is not None and group.last_ns > max(resolved_ns, since_ns)
            is_new = group.first_ns >= since_ns
            if came_back if form.what == "regressed" else is_new and resolved_ns is None:
                found.append(
                    {
                        names.SERVICE_NAME: group.service,
                        names.ERROR_TYPE: group.type,
                        ERROR_GROUP: group.fingerprint,
                    }
                )
        return found


def fits_all(where: Iterable[Match], labels: Mapping[str, str]) -> bool:
    """Whether a series matches."""
    return all(fits(one, labels.get(one.key, "")) for one in where)


def _filled(points: Sequence[Point], step_ms: int, known_ms: int) -> Iterator[tuple[int, Point]]:
    """Each point, and what stays as it is until the next one."""
    for number, point in enumerate(points):
        time_ms = point.time_ns // _MS
        yield time_ms, point
        is_last = number + 1 == len(points)
        end_ms = known_ms if is_last else points[number + 1].time_ns // _MS - step_ms // 2
        silent_ms = end_ms - time_ms if not is_last else 0
        if silent_ms > SILENT_MS + 2 * step_ms:
            continue
        for at_ms in range(time_ms + step_ms, min(end_ms, time_ms + SILENT_MS) + 1, step_ms):
            yield at_ms, point


class _Course:
    """One series' samples, of which each part of a histogram is made when it is asked for."""

    def __init__(self, one: MetricSeries, unit: str, timed: Sequence[tuple[int, Point]]) -> None:
        attributes = {key: label_value(value) for key, value in one.attributes}
        self._labels = {
            **attributes,
            names.SERVICE_NAME: one.service,
            names.SERVICE_INSTANCE_ID: one.instance,
        }
        self._bounds = one.bounds
        self._unit = unit
        self._timed = timed
        self._parts: dict[Part, list[Series]] = {}

    def parts(self, part: Part) -> list[Series]:
        """One series, or those of a histogram's buckets."""
        if part not in self._parts:
            self._parts[part] = list(self._made(part)) if self._timed else []
        return self._parts[part]

    def _made(self, part: Part) -> Iterator[Series]:
        times = [time_ms for time_ms, _ in self._timed]
        points = [point for _, point in self._timed]
        if part == "bucket":
            yield from self._buckets(times, points)
        elif part == "value":
            numbers = [point.value for point in points if isinstance(point, NumberPoint)]
            if len(numbers) == len(times):
                yield Series(self._labels, times, numbers)
        elif not isinstance(points[0], NumberPoint):
            yield Series(self._labels, times, [float(getattr(point, part)) for point in points])

    def _buckets(self, times: Sequence[int], points: Sequence[Point]) -> Iterator[Series]:
        is_exponential = isinstance(points[0], ExponentialPoint)
        shown = powers_of_two(self._unit) if is_exponential else self._bounds
        known: dict[int, list[int]] = {}
        for point in points:
            if id(point) not in known:
                known[id(point)] = _cumulative(point, self._bounds, shown)
        for number, bound in enumerate((*shown, inf)):
            values = [float(known[id(point)][number]) for point in points]
            yield Series({**self._labels, "le": f"{bound:.12g}"}, times, values)


def _cumulative(point: Point, bounds: tuple[float, ...], shown: Sequence[float]) -> list[int]:
    """How many measurements there are up to each of the bounds that are shown, and of all."""
    counts = [0] * (len(shown) + 1)
    if not isinstance(point, NumberPoint):
        for upper, count in upper_bounds(point, bounds):
            counts[bisect_left(shown, upper)] += count
    return list(accumulate(counts))
