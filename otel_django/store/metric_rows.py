"""Points of metrics as the arguments of one ``metric_schema.ingest`` statement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from otel_django import names
from otel_django.metric_points import (
    Attributes,
    Exemplar,
    ExponentialPoint,
    HistogramPoint,
    Metric,
    NumberPoint,
    Point,
)
from otel_django.store.json_text import dumps, int64
from otel_django.store.rows import ROWS_A_PART, YIELD_AFTER_S, work_s
from otel_django.store.texts import MAX_CACHED, Texts, text_id

SERVICE_INSTANCE_ID: Final = "service.instance.id"


class TakenPoint(NamedTuple):
    """A point with whose it is; exemplars up to ``exemplars_after_ns`` are stored already."""

    resource: Mapping[str, Any]
    metric: Metric
    point: Point
    exemplars_after_ns: int = 0

    @property
    def _large_bytes(self) -> int:
        return 0


class MetricRows(NamedTuple):
    """The arguments of one ingest statement: JSON arrays."""

    texts: str
    metrics: str
    series: str
    points: str


class MetricPacker:
    """Turns points into rows; one thread at a time.

    ``pause`` is called at least every 0.25 ms of ordinary work.
    """

    def __init__(self, pause: Callable[[], None]) -> None:
        self._pause = pause
        self._texts = Texts()
        self._stored: set[int] = set()
        self._metrics: dict[int, tuple[Any, ...]] = {}
        self._series: dict[int, tuple[Any, ...]] = {}

    def new_slice(self) -> None:
        """Metrics and series have to be written again."""
        self._texts.new_slice()
        self._stored.clear()

    def written(self) -> None:
        """The last ``pack`` is in the store."""
        self._texts.written()
        self._stored.update(self._metrics, self._series)

    def pack(self, taken: Sequence[TakenPoint]) -> MetricRows:
        """The rows of a batch."""
        self._texts.begin()
        self._metrics, self._series = {}, {}
        if len(self._stored) > MAX_CACHED:
            self._stored.clear()
        parts: list[str] = []
        metric_ids: dict[int, int] = {}
        resources: dict[int, str] = {}
        looked_at = work_s()
        for begin in range(0, len(taken), ROWS_A_PART):
            rows = []
            for each in taken[begin : begin + ROWS_A_PART]:
                number = metric_ids.get(id(each.metric))
                if number is None:
                    number = metric_ids[id(each.metric)] = self._metric(each.metric)
                resource = resources.get(id(each.resource))
                if resource is None:
                    resource = resources[id(each.resource)] = dumps(dict(each.resource))
                rows.append(_point(each, number, self._one_series(each, number, resource)))
            parts.append(dumps(rows)[1:-1])
            if work_s() - looked_at > YIELD_AFTER_S:
                self._pause()
                looked_at = work_s()
        return MetricRows(
            self._texts.rows(),
            dumps(list(self._metrics.values())),
            dumps(list(self._series.values())),
            f"[{','.join(parts)}]",
        )

    def _metric(self, metric: Metric) -> int:
        scope = metric.scope
        told = {
            "name": scope.name,
            "version": scope.version,
            "schema_url": scope.schema_url,
            "attributes": dict(scope.attributes),
        }
        row = (metric.name, metric.unit, metric.description, metric.kind, metric.bounds, told)
        number = text_id(dumps(row))
        if number not in self._stored:
            self._metrics[number] = (number, *row)
        return number

    def _one_series(self, taken: TakenPoint, metric: int, resource: str) -> int:
        attributes = dict(taken.point.attributes)
        number = text_id(dumps((metric, resource, attributes)))
        if number not in self._stored:
            self._series[number] = (
                number,
                metric,
                self._texts.id(str(taken.resource.get(names.SERVICE_NAME, ""))),
                self._texts.id(resource),
                str(taken.resource.get(SERVICE_INSTANCE_ID, "")),
                attributes,
            )
        return number


def _point(taken: TakenPoint, metric: int, series: int) -> tuple[Any, ...]:
    point = taken.point
    value = point.value if isinstance(point, NumberPoint) else None
    if isinstance(value, int):
        value = int64(value)
    data = point_data(point, taken.exemplars_after_ns)
    return (metric, series, int64(point.time_ns), int64(point.start_ns), value, data)


def point_data(point: Point, exemplars_after_ns: int = 0) -> list[Any] | None:
    """What has no column: ``[exemplars, sum, min, max, buckets]``, the first only for a number.

    ``buckets`` are a histogram's counts, an exponential one's scale, count of zeros, and offset and
    counts of the positive and the negative ones.
    """
    exemplars = [_exemplar(each) for each in point.exemplars if each.time_ns > exemplars_after_ns]
    if isinstance(point, NumberPoint):
        return [exemplars] if exemplars else None
    data = [exemplars, point.sum, point.min, point.max]
    if isinstance(point, HistogramPoint):
        return [*data, point.counts]
    positive = (point.positive_offset, point.positive)
    negative = (point.negative_offset, point.negative)
    return [*data, (point.scale, point.zero_count, *positive, *negative)]


def _exemplar(exemplar: Exemplar) -> tuple[Any, ...]:
    trace_id = format(exemplar.trace_id, "032x") if exemplar.trace_id else ""
    span_id = format(exemplar.span_id, "016x") if exemplar.span_id else ""
    return (exemplar.value, exemplar.time_ns, trace_id, span_id, dict(exemplar.attributes))


def point_from(
    kind: str,
    attributes: Attributes,
    times: tuple[int, int],
    value: float | None,
    data: list[Any] | None,
) -> Point:
    """The point of a row; ``times`` are its start and its own."""
    start_ns, time_ns = times
    exemplars = tuple(map(_exemplar_from, data[0])) if data and data[0] else ()
    if kind == "histogram" and data is not None:
        _, total, low, high, counts = data
        return HistogramPoint(
            attributes, tuple(counts), total or 0.0, start_ns, time_ns, low, high, exemplars
        )
    if kind == "exponential_histogram" and data is not None:
        _, total, low, high, (scale, zeros, at, positive, below_at, negative) = data
        return ExponentialPoint(
            attributes,
            scale,
            zeros,
            at,
            tuple(positive),
            below_at,
            tuple(negative),
            total or 0.0,
            start_ns,
            time_ns,
            low,
            high,
            exemplars,
        )
    number = float("nan") if value is None else value
    return NumberPoint(attributes, number, start_ns, time_ns, exemplars)


def _exemplar_from(row: list[Any]) -> Exemplar:
    value, time_ns, trace_id, span_id, attributes = row
    number = float("nan") if value is None else value
    ids = int(trace_id or "0", 16), int(span_id or "0", 16)
    return Exemplar(number, time_ns, *ids, attributes_from(attributes))


def attributes_from(found: Mapping[str, Any]) -> Attributes:
    """Attributes as JSON has them, in their usual form."""
    return tuple(
        (key, tuple(value) if isinstance(value, list) else value)
        for key, value in sorted(found.items())
    )
