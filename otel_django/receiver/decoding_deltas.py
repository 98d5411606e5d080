"""Deltas added up: the store keeps sums since a start."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from otel_django.metric_points import Metric, NumberPoint, Point, ResourceMetrics
from otel_django.metrics.merging import added
from otel_django.store.json_text import INT64_MAX, dumps
from otel_django.store.texts import text_id

MAX_SERIES: Final = 50_000
MAX_CHARACTERS: Final = 1 << 25
"""Of all of them, written out: a single one may have megabytes of attributes."""
_Key = tuple[object, ...]


class _Kept(NamedTuple):
    point: Point
    characters: int


class DeltaSums:
    """What the series of deltas have come to; one thread at a time.

    A sum starts where its first delta did. Those that heard of nothing for the longest time are
    forgotten first, and start anew.
    """

    def __init__(self, max_series: int = MAX_SERIES, max_characters: int = MAX_CHARACTERS) -> None:
        self._max_series = max_series
        self._max_characters = max_characters
        self._characters = 0
        self._sums: dict[_Key, _Kept] = {}

    def cumulative(self, data: Iterable[ResourceMetrics]) -> list[ResourceMetrics]:
        """The same with each delta as the sum it leads to; to be called once for each request."""
        return [
            part._replace(metrics=tuple(self._metric(part, metric) for metric in part.metrics))
            if any(metric.temporality == "delta" for metric in part.metrics)
            else part
            for part in data
        ]

    def _metric(self, part: ResourceMetrics, metric: Metric) -> Metric:
        if metric.temporality != "delta":
            return metric
        owner = text_id(dumps(dict(part.resource)))
        series = (owner, metric.scope.name, metric.name, metric.kind, metric.bounds)
        in_order = sorted(metric.points, key=lambda point: point.time_ns)
        points = tuple(
            self._sum((*series, point.attributes), point, metric.bounds) for point in in_order
        )
        return metric._replace(points=points, temporality="cumulative")

    def _sum(self, key: _Key, delta: Point, bounds: tuple[float, ...]) -> Point:
        kept = self._sums.pop(key, None)
        before = None if kept is None else kept.point
        whole = delta if before is None else added(before, delta, bounds)
        if before is not None and _is_beyond(whole):
            whole = delta
        if before is None and not delta.start_ns:
            whole = delta._replace(start_ns=delta.time_ns)
        point = whole._replace(exemplars=())  # those are written now, or never
        if kept is None:
            kept = _Kept(point, len(repr((key, point))))
            self._characters += kept.characters
        self._sums[key] = kept._replace(point=point)  # as the newest
        while len(self._sums) > self._max_series or self._characters > self._max_characters:
            self._characters -= self._sums.pop(next(iter(self._sums))).characters
        return whole


def _is_beyond(whole: Point) -> bool:
    """What a column of the store can hold."""
    if isinstance(whole, NumberPoint):
        return isinstance(whole.value, int) and abs(whole.value) > INT64_MAX
    return whole.count > INT64_MAX
