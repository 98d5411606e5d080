"""Metrics of OTLP as the package's own points.

A summary becomes what charts can show: a gauge of its quantiles (attribute ``quantile``), and two
counters, ``NAME.count`` and ``NAME.sum``. A histogram's points of other bounds are another metric.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any, Final

from otel_django.metric_points import (
    Exemplar,
    ExponentialPoint,
    HistogramPoint,
    Kind,
    Metric,
    NumberPoint,
    Point,
    Scope,
    Temporality,
)
from otel_django.receiver.decoding_groups import Refusals, Unfit
from otel_django.receiver.decoding_values import id_of, labels, name_of
from otel_django.store.json_text import INT64_MAX

if TYPE_CHECKING:
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric as MetricMessage

MAX_BUCKETS: Final = 2_000
MAX_EXEMPLARS: Final = 200
SCALES: Final = range(-10, 21)
MAX_EXPONENT: Final = 1_100
_NO_VALUE: Final = 1
_TEMPORALITIES: Final[dict[int, Temporality]] = {1: "delta", 2: "cumulative"}
QUANTILE: Final = "quantile"
COUNT: Final = ".count"
SUM: Final = ".sum"


def metrics(
    message: MetricMessage, scope: Scope, now_ns: int, refusals: Refusals
) -> Iterator[Metric]:
    """What can be kept of one; points of no value, which end a series, are left out."""
    which = message.WhichOneof("data")
    if which is None:
        return
    data = getattr(message, which)
    read = _Reader(now_ns, refusals)
    try:
        name, kind, temporality = name_of(message.name), _kind(message), _temporality(data, which)
        if not name:
            raise Unfit("a metric without a name")
    except Unfit as why:
        for _ in data.data_points:
            refusals.add(why)
        return
    unit, description = name_of(message.unit), name_of(message.description)
    if which == "summary":
        for suffix, own_kind, points in read.summary(data.data_points):
            own_unit = "" if suffix == COUNT else unit
            yield Metric(name + suffix, own_unit, description, own_kind, points, scope=scope)
        return
    convert: Callable[[Any], tuple[tuple[float, ...], Point]] = getattr(read, _READERS[which])
    found = sorted(read.all(data.data_points, convert), key=lambda each: each[0])
    for bounds, alike in groupby(found, key=lambda each: each[0]):
        points = tuple(point for _, point in alike)
        yield Metric(name, unit, description, kind, points, bounds, temporality, scope)


_READERS: Final = {
    "gauge": "gauge",
    "sum": "number",
    "histogram": "histogram",
    "exponential_histogram": "exponential",
}


def _kind(message: MetricMessage) -> Kind:
    if message.HasField("sum"):
        return "counter" if message.sum.is_monotonic else "up_down_counter"
    if message.HasField("histogram"):
        return "histogram"
    return "exponential_histogram" if message.HasField("exponential_histogram") else "gauge"


def _temporality(data: Any, which: str) -> Temporality:
    if which in ("gauge", "summary"):
        return "cumulative"
    found = _TEMPORALITIES.get(data.aggregation_temporality)
    if found is None:
        raise Unfit("a sum must say whether it is cumulative or a delta")
    return found


class _Reader:
    """Points of one metric."""

    def __init__(self, now_ns: int, refusals: Refusals) -> None:
        self._now_ns = now_ns
        self._refusals = refusals

    def all(self, messages: Iterable[Any], convert: Callable[[Any], Any]) -> Iterator[Any]:
        """Those that can be kept; the others are counted."""
        for message in messages:
            if not message.flags & _NO_VALUE:
                try:
                    yield convert(message)
                except Unfit as why:
                    self._refusals.add(why)

    def _time(self, message: Any) -> int:
        return int(message.time_unix_nano) or self._now_ns

    def number(self, message: Any) -> tuple[tuple[float, ...], Point]:
        """Of a sum."""
        which = message.WhichOneof("value")
        if which is None:
            raise Unfit("a point without a value")
        own, value = labels(message.attributes), getattr(message, which)
        start_ns, time_ns = message.start_time_unix_nano, self._time(message)
        return (), NumberPoint(own, value, start_ns, time_ns, _exemplars(message))

    def gauge(self, message: Any) -> tuple[tuple[float, ...], Point]:
        """It has no start: some senders tell another one each time."""
        bounds, point = self.number(message)
        return bounds, point._replace(start_ns=0)

    def histogram(self, message: Any) -> tuple[tuple[float, ...], Point]:
        """With its bounds; one without buckets has a single one."""
        counts = message.bucket_counts
        if len(counts) > MAX_BUCKETS:
            raise Unfit(f"more than {MAX_BUCKETS:,} buckets")
        bounds = tuple(message.explicit_bounds[:MAX_BUCKETS])
        if not counts and not bounds:
            counts = (message.count,)
        if len(counts) != len(bounds) + 1:
            raise Unfit("a histogram needs one bucket more than it has bounds")
        if not all(low < high for low, high in pairwise((-math.inf, *bounds, math.inf))):
            raise Unfit("a histogram's bounds must rise")
        return bounds, HistogramPoint(
            labels(message.attributes),
            _counts(counts),
            message.sum,
            message.start_time_unix_nano,
            self._time(message),
            message.min if message.HasField("min") else None,
            message.max if message.HasField("max") else None,
            _exemplars(message),
        )

    def exponential(self, message: Any) -> tuple[tuple[float, ...], Point]:
        """At a scale between -10 and 20, the buckets of numbers that there are."""
        if message.scale not in SCALES:
            raise Unfit(f"a scale that isn't between {SCALES[0]} and {SCALES[-1]}")
        (zero_count,) = _counts((message.zero_count,))
        positive_offset, positive = _buckets(message.positive, message.scale)
        negative_offset, negative = _buckets(message.negative, message.scale)
        return (), ExponentialPoint(
            labels(message.attributes),
            message.scale,
            zero_count,
            positive_offset,
            positive,
            negative_offset,
            negative,
            message.sum,
            message.start_time_unix_nano,
            self._time(message),
            message.min if message.HasField("min") else None,
            message.max if message.HasField("max") else None,
            _exemplars(message),
        )

    def summary(self, messages: Iterable[Any]) -> Iterator[tuple[str, Kind, tuple[Point, ...]]]:
        """What becomes of a summary's points: a suffix of the name, and a kind."""
        quantiles, counts, sums = [], [], []
        for message in messages:
            if message.flags & _NO_VALUE:
                continue
            own = labels(message.attributes)
            times = (message.start_time_unix_nano, self._time(message))
            counts.append(NumberPoint(own, message.count, *times))
            sums.append(NumberPoint(own, message.sum, *times))
            for each in message.quantile_values[:MAX_BUCKETS]:
                told = {**dict(own), QUANTILE: f"{each.quantile:g}"}
                quantiles.append(NumberPoint(tuple(sorted(told.items())), each.value, *times))
        yield "", "gauge", tuple(quantiles)
        yield COUNT, "counter", tuple(counts)
        yield SUM, "counter", tuple(sums)


def _counts(found: Iterable[int]) -> tuple[int, ...]:
    counts = tuple(found)
    if max(counts, default=0) > INT64_MAX:
        raise Unfit("a bucket's count is beyond 63 bits")
    return counts


def _buckets(found: Any, scale: int) -> tuple[int, tuple[int, ...]]:
    if len(found.bucket_counts) > MAX_BUCKETS:
        raise Unfit(f"more than {MAX_BUCKETS:,} buckets")
    counts = _counts(found.bucket_counts)
    last = found.offset + len(counts)
    if counts and max(abs(found.offset), abs(last)) * 2.0**-scale > MAX_EXPONENT:
        raise Unfit("buckets of numbers that there are none of")
    return found.offset, counts


def _exemplars(message: Any) -> tuple[Exemplar, ...]:
    if not message.exemplars:
        return ()
    return tuple(
        Exemplar(
            getattr(each, each.WhichOneof("value") or "as_double"),
            each.time_unix_nano,
            id_of(each.trace_id, 16),
            id_of(each.span_id, 8),
            labels(each.filtered_attributes),
        )
        for each in message.exemplars[:MAX_EXEMPLARS]
    )
