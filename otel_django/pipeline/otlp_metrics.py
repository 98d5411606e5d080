"""Metrics as OTLP: ``ExportMetricsServiceRequest`` (opentelemetry/proto/metrics/v1), by hand.

A metric without points is left out, since it says nothing; so is the start of a gauge. Any number
of threads may encode at once.
"""

from __future__ import annotations

import struct
from time import perf_counter
from typing import TYPE_CHECKING, Final, NamedTuple

from otel_django.metric_points import ExponentialPoint, HistogramPoint, NumberPoint
from otel_django.pipeline.otlp_frames import ITEM, UINT64, UINT128, Groups, text
from otel_django.pipeline.pace import Pace, no_pause
from otel_django.pipeline.protobuf import KeyValues, field, join, varint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from otel_django.metric_points import (
        AttributeValue,
        Exemplar,
        Kind,
        Metric,
        Point,
        ResourceMetrics,
    )

# Tags of metrics.proto's fields that have a length.
_NAME: Final = b"\x0a"
_DESCRIPTION: Final = b"\x12"
_UNIT: Final = b"\x1a"
_DATA: Final[dict[Kind, bytes]] = {
    "gauge": b"\x2a",
    "counter": b"\x3a",
    "up_down_counter": b"\x3a",
    "histogram": b"\x4a",
    "exponential_histogram": b"\x52",
}
_POINT: Final = b"\x0a"
_NUMBER_EXEMPLAR: Final = b"\x2a"
_BUCKET_COUNTS: Final = b"\x32"
_BOUNDS: Final = b"\x3a"
_HISTOGRAM_EXEMPLAR: Final = b"\x42"
_POSITIVE: Final = b"\x42"
_NEGATIVE: Final = b"\x4a"
_EXPONENTIAL_EXEMPLAR: Final = b"\x5a"
_EXPONENTIAL_COUNTS: Final = b"\x12"

# Fields that are varints, whole.
_TEMPORALITIES: Final = {"delta": b"\x10\x01", "cumulative": b"\x10\x02"}
_MONOTONIC: Final = b"\x18\x01"

_TIMES: Final = struct.Struct("<BQBQ").pack  # start (2), time (3)
_TIME: Final = struct.Struct("<BQ").pack
_INT: Final = struct.Struct("<Bq").pack
_DOUBLE: Final = struct.Struct("<Bd").pack
_COUNT_AND_SUM: Final = struct.Struct("<BQBd").pack  # count (4), sum (5)
_IDS: Final = struct.Struct(">H8sH16s").pack  # of an exemplar: span (4), trace (5)
_INT64: Final = 1 << 63
_BUCKETS_PER_WORK: Final = 8

_number_attributes = KeyValues(7)
_histogram_attributes = KeyValues(9)
_exponential_attributes = KeyValues(1)
_exemplar_attributes = KeyValues(7)


class _Resource(NamedTuple):
    attributes: Mapping[str, AttributeValue]
    schema_url: str = ""


def encode_request(
    data: Iterable[ResourceMetrics],
    pause: Callable[[], object] = no_pause,
    *,
    failed: Callable[[Exception], object] | None = None,
    clock: Callable[[], float] = perf_counter,
) -> bytes:
    """An ``ExportMetricsServiceRequest`` of ``data``, grouped by equal resource and equal scope.

    ``pause`` is called at least every 0.25 ms of work. A metric that can't be encoded is left out
    and its error given to ``failed``; without ``failed`` the error is raised.
    """
    pace = Pace(pause, clock)
    groups = Groups(pace)
    for one in data:
        resource = _Resource(one.resource)
        for metric in one.metrics:
            if not metric.points:
                continue
            try:
                body = _metric(metric, pace)
            except Exception as error:
                if failed is None:
                    raise
                failed(error)
                continue
            items = groups.items_of(resource, metric.scope)
            items.append(ITEM + varint(len(body)))
            items.append(body)
    return groups.message()


def _metric(metric: Metric, pace: Pace) -> bytes:
    head = (
        text(_NAME, metric.name, pace),
        text(_DESCRIPTION, metric.description, pace),
        text(_UNIT, metric.unit, pace),
    )
    return join((*head, field(_DATA[metric.kind], _data(metric, pace), pace)), pace)


def _data(metric: Metric, pace: Pace) -> bytes:
    gauge = metric.kind == "gauge"
    bounds = _bounds(metric.bounds)
    parts = []
    for point in metric.points:
        content = _point(point, bounds, gauge, pace)
        parts.append(_POINT + varint(len(content)))
        parts.append(content)
        pace.spend(4 + len(point.attributes))
    if not gauge:
        parts.append(_TEMPORALITIES[metric.temporality])
    if metric.kind == "counter":
        parts.append(_MONOTONIC)
    return join(parts, pace)


def _point(point: Point, bounds: bytes, gauge: bool, pace: Pace) -> bytes:
    if isinstance(point, NumberPoint):
        return _number(point, gauge, pace)
    if isinstance(point, HistogramPoint):
        return _histogram(point, bounds, pace)
    return _exponential(point, pace)


def _number(point: NumberPoint, gauge: bool, pace: Pace) -> bytes:
    parts = (
        _TIME(0x19, point.time_ns) if gauge else _TIMES(0x11, point.start_ns, 0x19, point.time_ns),
        _value(0x21, point.value),
        _number_attributes.encode(dict(point.attributes), pace),
        _exemplars(_NUMBER_EXEMPLAR, point.exemplars, pace),
    )
    return join(parts, pace)


def _value(tag_of_double: int, value: float) -> bytes:
    """``as_int`` (6) where it is one that fits, else ``as_double``."""
    if isinstance(value, int) and -_INT64 <= value < _INT64:
        return _INT(0x31, value)
    return _DOUBLE(tag_of_double, value)


def _histogram(point: HistogramPoint, bounds: bytes, pace: Pace) -> bytes:
    size = len(point.counts)
    parts = (
        _TIMES(0x11, point.start_ns, 0x19, point.time_ns),
        _COUNT_AND_SUM(0x21, point.count, 0x29, point.sum),
        _BUCKET_COUNTS + varint(8 * size) + struct.pack(f"<{size}Q", *point.counts),
        bounds,
        _histogram_attributes.encode(dict(point.attributes), pace),
        _exemplars(_HISTOGRAM_EXEMPLAR, point.exemplars, pace),
        b"" if point.min is None else _DOUBLE(0x59, point.min),
        b"" if point.max is None else _DOUBLE(0x61, point.max),
    )
    pace.spend(size // _BUCKETS_PER_WORK)
    return join(parts, pace)


def _bounds(bounds: tuple[float, ...]) -> bytes:
    if not bounds:
        return b""
    content = struct.pack(f"<{len(bounds)}d", *bounds)
    return _BOUNDS + varint(len(content)) + content


def _exponential(point: ExponentialPoint, pace: Pace) -> bytes:
    parts = (
        _exponential_attributes.encode(dict(point.attributes), pace),
        _TIMES(0x11, point.start_ns, 0x19, point.time_ns),
        _COUNT_AND_SUM(0x21, point.count, 0x29, point.sum),
        b"\x30" + _zigzag(point.scale),
        _TIME(0x39, point.zero_count),
        _buckets(_POSITIVE, point.positive_offset, point.positive, pace),
        _buckets(_NEGATIVE, point.negative_offset, point.negative, pace),
        _exemplars(_EXPONENTIAL_EXEMPLAR, point.exemplars, pace),
        b"" if point.min is None else _DOUBLE(0x61, point.min),
        b"" if point.max is None else _DOUBLE(0x69, point.max),
    )
    return join(parts, pace)


def _buckets(tag: bytes, offset: int, counts: tuple[int, ...], pace: Pace) -> bytes:
    if not counts:
        return b""
    content = join([varint(number) for number in counts], pace)
    pace.spend(len(counts) // _BUCKETS_PER_WORK)
    return field(tag, b"\x08" + _zigzag(offset) + field(_EXPONENTIAL_COUNTS, content, pace), pace)


def _zigzag(number: int) -> bytes:
    """As a sint32."""
    return varint(number << 1 if number >= 0 else (-number << 1) - 1)


def _exemplars(tag: bytes, exemplars: tuple[Exemplar, ...], pace: Pace) -> bytes:
    if not exemplars:
        return b""
    pace.spend(3 * len(exemplars))
    return join([field(tag, _exemplar(one, pace), pace) for one in exemplars], pace)


def _exemplar(exemplar: Exemplar, pace: Pace) -> bytes:
    parts = (
        _TIME(0x11, exemplar.time_ns),
        _value(0x19, exemplar.value),
        _ids(exemplar.span_id, exemplar.trace_id) if exemplar.trace_id else b"",
        _exemplar_attributes.encode(dict(exemplar.attributes), pace),
    )
    return join(parts, pace)


def _ids(span_id: int, trace_id: int) -> bytes:
    span, trace = span_id & UINT64, trace_id & UINT128
    return _IDS(0x2208, span.to_bytes(8, "big"), 0x2A10, trace.to_bytes(16, "big"))
