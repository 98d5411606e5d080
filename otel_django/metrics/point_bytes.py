"""Points as bytes, for the files in which processes of a host show each other their sums.

Attributes and start times aren't in them: the first are the key of a file's entry, the second are
the same for all (see ``host_folder``). Little-endian; NaN stands for an unknown minimum or maximum.
"""

from __future__ import annotations

import json
import math
import struct
from typing import TYPE_CHECKING, Any, Final

from otel_django.metric_points import (
    Attributes,
    AttributeValue,
    Exemplar,
    ExponentialPoint,
    HistogramPoint,
    NumberPoint,
    Point,
)
from otel_django.metrics.exact import tail_of, with_tail

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_INT: Final = struct.Struct("<B7xqQ")
_FLOAT: Final = struct.Struct("<B7xdqQ")
_IS_INT, _IS_FLOAT, _IS_HISTOGRAM, _IS_EXPONENTIAL = range(1, 5)
_HISTOGRAM: Final = struct.Struct("<B3xIdqddQ")
_EXPONENTIAL: Final = struct.Struct("<B3xiQiIiIdqddQ")
_EXEMPLAR: Final = struct.Struct("<dQ16s8sI")
_INT_LIMIT: Final = 1 << 63


def pack_attributes(attributes: Attributes) -> bytes:
    """Equal attributes, equal bytes: they are sorted."""
    return json.dumps(attributes, separators=(",", ":")).encode()


def unpack_attributes(data: bytes) -> Attributes:
    """What ``pack_attributes`` was given."""
    return as_attributes(json.loads(data))


def as_attributes(pairs: Iterable[Sequence[Any]]) -> Attributes:
    """Attributes as JSON has them."""
    return tuple((key, _value(value)) for key, value in pairs)


def _value(value: object) -> AttributeValue:
    return tuple(value) if isinstance(value, list) else value  # type: ignore[return-value]


def pack_point(point: Point) -> bytes:
    """``point`` without its attributes and start."""
    if type(point) is NumberPoint:
        head = _pack_number(point)
    elif type(point) is HistogramPoint:
        head = _HISTOGRAM.pack(
            _IS_HISTOGRAM,
            len(point.counts),
            point.sum,
            tail_of(point.sum),
            _known(point.min),
            _known(point.max),
            point.time_ns,
        ) + struct.pack(f"<{len(point.counts)}Q", *point.counts)
    else:
        head = _pack_exponential(point)  # type: ignore[arg-type]
    if not point.exemplars:
        return head
    return head + b"".join(map(_pack_exemplar, point.exemplars))


def _pack_number(point: NumberPoint) -> bytes:
    value = point.value
    if isinstance(value, int) and -_INT_LIMIT <= value < _INT_LIMIT:
        return _INT.pack(_IS_INT, value, point.time_ns)
    return _FLOAT.pack(_IS_FLOAT, value, tail_of(value), point.time_ns)


def _pack_exponential(point: ExponentialPoint) -> bytes:
    positive, negative = point.positive, point.negative
    return _EXPONENTIAL.pack(
        _IS_EXPONENTIAL,
        point.scale,
        point.zero_count,
        point.positive_offset,
        len(positive),
        point.negative_offset,
        len(negative),
        point.sum,
        tail_of(point.sum),
        _known(point.min),
        _known(point.max),
        point.time_ns,
    ) + struct.pack(f"<{len(positive) + len(negative)}Q", *positive, *negative)


def _pack_exemplar(exemplar: Exemplar) -> bytes:
    attributes = pack_attributes(exemplar.attributes) if exemplar.attributes else b""
    return (
        _EXEMPLAR.pack(
            exemplar.value,
            exemplar.time_ns,
            exemplar.trace_id.to_bytes(16, "big"),
            exemplar.span_id.to_bytes(8, "big"),
            len(attributes),
        )
        + attributes
    )


def unpack_point(data: bytes, attributes: Attributes, start_ns: int) -> Point:
    """The point.

    Raises:
        ValueError, struct.error: the bytes aren't a point's.
    """
    kind = data[0] if data else 0
    if kind == _IS_INT:
        _, value, time_ns = _INT.unpack_from(data)
        return NumberPoint(attributes, value, start_ns, time_ns, _exemplars(data, _INT.size))
    if kind == _IS_FLOAT:
        _, value, tail, time_ns = _FLOAT.unpack_from(data)
        value = with_tail(value, tail)
        return NumberPoint(attributes, value, start_ns, time_ns, _exemplars(data, _FLOAT.size))
    if kind == _IS_HISTOGRAM:
        return _unpack_histogram(data, attributes, start_ns)
    if kind == _IS_EXPONENTIAL:
        return _unpack_exponential(data, attributes, start_ns)
    raise ValueError("not a point")


def _unpack_histogram(data: bytes, attributes: Attributes, start_ns: int) -> HistogramPoint:
    _, size, total, tail, least, most, time_ns = _HISTOGRAM.unpack_from(data)
    counts = struct.unpack_from(f"<{size}Q", data, _HISTOGRAM.size)
    exemplars = _exemplars(data, _HISTOGRAM.size + 8 * size)
    total = with_tail(total, tail)
    return HistogramPoint(
        attributes, counts, total, start_ns, time_ns, _maybe(least), _maybe(most), exemplars
    )


def _unpack_exponential(data: bytes, attributes: Attributes, start_ns: int) -> ExponentialPoint:
    (_, scale, zeros, above, size, below, size_below, total, tail, least, most, time_ns) = (
        _EXPONENTIAL.unpack_from(data)
    )
    counts = struct.unpack_from(f"<{size + size_below}Q", data, _EXPONENTIAL.size)
    return ExponentialPoint(
        attributes,
        scale,
        zeros,
        above,
        counts[:size],
        below,
        counts[size:],
        with_tail(total, tail),
        start_ns,
        time_ns,
        _maybe(least),
        _maybe(most),
        _exemplars(data, _EXPONENTIAL.size + 8 * len(counts)),
    )


def _exemplars(data: bytes, offset: int) -> tuple[Exemplar, ...]:
    if offset == len(data):
        return ()
    found = []
    while offset < len(data):
        value, time_ns, trace_id, span_id, size = _EXEMPLAR.unpack_from(data, offset)
        offset += _EXEMPLAR.size + size
        found.append(
            Exemplar(
                value,
                time_ns,
                int.from_bytes(trace_id, "big"),
                int.from_bytes(span_id, "big"),
                unpack_attributes(data[offset - size : offset]) if size else (),
            )
        )
    return tuple(found)


def _known(value: float | None) -> float:
    return math.nan if value is None else value


def _maybe(value: float) -> float | None:
    return None if value != value else value  # noqa: PLR0124 - NaN
