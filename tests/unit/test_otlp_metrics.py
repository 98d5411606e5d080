"""Encoded metrics are upstream's messages, but for upstream's faults."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric as MetricMessage
from opentelemetry.sdk.resources import Resource

from otel_django.metric_points import (
    Exemplar,
    ExponentialPoint,
    HistogramPoint,
    Metric,
    NumberPoint,
    ResourceMetrics,
    Scope,
)
from otel_django.pipeline.otlp_metrics import encode_request
from otel_django.pipeline.sdk_metrics import metrics_data
from tests.unit.otlp_spans import (
    floats,
    ints,
    keys,
    scalars,
    spared,
    texts,
    times,
    without_surrogates,
)

slow_to_make = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# --- shapes

attributes = st.dictionaries(
    keys.filter(lambda key: without_surrogates(key) == key),
    scalars | st.lists(st.integers(0, 9)).map(tuple),
    max_size=4,
).map(lambda found: tuple(sorted(found.items())))
numbers = ints | floats
bucket_counts = st.integers(0, 2**40)
exemplars = st.lists(
    st.builds(
        Exemplar,
        value=numbers,
        time_ns=times,
        trace_id=st.just(0) | st.integers(1, 2**128 - 1),
        span_id=st.integers(1, 2**64 - 1),
        attributes=attributes,
    ),
    max_size=2,
).map(tuple)
number_points = st.builds(
    NumberPoint, attributes, numbers, start_ns=times, time_ns=times, exemplars=exemplars
)
exponential_points = st.builds(
    ExponentialPoint,
    attributes=attributes,
    scale=st.integers(-10, 20),
    zero_count=bucket_counts,
    positive_offset=st.integers(-(2**31), 2**31 - 1),
    positive=st.lists(bucket_counts, max_size=8).map(tuple),
    negative_offset=st.integers(-1000, 1000),
    negative=st.lists(bucket_counts, max_size=3).map(tuple),
    sum=floats,
    start_ns=times,
    time_ns=times,
    min=st.none() | floats,
    max=st.none() | floats,
    exemplars=exemplars,
)
scopes = st.sampled_from(
    [
        Scope(),
        Scope(),
        Scope("shop", "2", "https://opentelemetry.io/schemas/1.44.0", (("team", "orders"),)),
        Scope("shop", "", "", (("tier", 1),)),
    ]
)


def histogram_points(bounds: tuple[float, ...]) -> st.SearchStrategy[HistogramPoint]:
    size = len(bounds) + 1
    return st.builds(
        HistogramPoint,
        attributes=attributes,
        counts=st.lists(bucket_counts, min_size=size, max_size=size).map(tuple),
        sum=floats,
        start_ns=times,
        time_ns=times,
        min=st.none() | floats,
        max=st.none() | floats,
        exemplars=exemplars,
    )


@st.composite
def metrics(draw: st.DrawFn) -> Metric:
    kind = draw(
        st.sampled_from(["counter", "up_down_counter", "gauge", "histogram"])
        | st.just("exponential_histogram")
    )
    bounds: tuple[float, ...] = ()
    points: st.SearchStrategy[Any] = number_points
    if kind == "histogram":
        bounds = draw(st.sampled_from([(), (0.5,), (0.005, 0.1, 1.0, 10.0)]))
        points = histogram_points(bounds)
    elif kind == "exponential_histogram":
        points = exponential_points
    return Metric(
        name=draw(texts),
        unit=draw(texts),
        description=draw(texts),
        kind=kind,  # type: ignore[arg-type]
        points=tuple(draw(st.lists(points, max_size=3))),
        bounds=bounds,
        temporality=draw(st.sampled_from(["cumulative", "delta"])),
        scope=draw(scopes),
    )


exports = st.lists(
    st.builds(
        ResourceMetrics,
        st.sampled_from(
            [
                {"service.name": "shop", "process.pid": 7},
                {"service.name": "shop", "otel_django.role": "worker"},
                {},
            ]
        ),
        st.lists(metrics(), max_size=4).map(tuple),
    ),
    max_size=3,
)


# --- upstream


def ours(data: Iterable[ResourceMetrics]) -> ExportMetricsServiceRequest:
    """Our bytes, read by protobuf."""
    return ExportMetricsServiceRequest.FromString(encode_request(data))


def ours_alone(metric: Metric) -> MetricMessage:
    message = ours([ResourceMetrics({}, (metric,))]).resource_metrics[0].scope_metrics[0].metrics[0]
    assert isinstance(message, MetricMessage)
    return message


def upstream(data: Iterable[ResourceMetrics]) -> ExportMetricsServiceRequest:
    """What upstream makes of ``data``, spared what it stumbles over.

    - Ints beyond 64 bits and lone surrogates: in attributes it drops them (see
      test_otlp_upstream_faults.py), in a value or a name it raises and loses the export; ours are
      floats, and have U+FFFD.
    - A resource that comes twice: it keeps the last one only; ours joins them.
    - A metric without points: it sends its name; ours leaves it out.
    """
    joined: dict[tuple[tuple[str, Any], ...], list[Metric]] = {}
    for one in data:
        found = [_spared(metric) for metric in one.metrics if metric.points]
        if found:
            joined.setdefault(tuple(one.resource.items()), []).extend(found)
    whole = [ResourceMetrics(dict(key), tuple(found)) for key, found in joined.items()]
    message: ExportMetricsServiceRequest = encode_metrics(metrics_data(whole))
    return message


def _spared(metric: Metric) -> Metric:
    return metric._replace(
        name=without_surrogates(metric.name),
        unit=without_surrogates(metric.unit),
        description=without_surrogates(metric.description),
        points=tuple(_spared_point(point) for point in metric.points),
    )


def _spared_point(point: Any) -> Any:
    changes: dict[str, Any] = {"value": _number(point.value)} if hasattr(point, "value") else {}
    return point._replace(
        attributes=_attributes(point.attributes),
        exemplars=tuple(
            one._replace(value=_number(one.value), attributes=_attributes(one.attributes))
            for one in point.exemplars
        ),
        **changes,
    )


def _attributes(found: Any) -> Any:
    return tuple(spared(dict(found)).items())


def _number(value: float) -> float:
    return value if isinstance(value, float) or -(2**63) <= value < 2**63 else float(value)


def comparable(message: ExportMetricsServiceRequest) -> bytes:
    return message.SerializeToString(deterministic=True)


@slow_to_make
@given(exports)
def test_any_export_parses_to_upstreams_message(data: Sequence[ResourceMetrics]) -> None:
    assert comparable(ours(data)) == comparable(upstream(data))


# --- one by one


def counter(*points: NumberPoint, **changes: Any) -> Metric:
    return Metric("orders", "{order}", "Orders.", "counter", points)._replace(**changes)


def point(value: float = 1, **changes: Any) -> NumberPoint:
    return NumberPoint((), value, 1, 2)._replace(**changes)


def test_nothing_is_an_empty_request() -> None:
    assert encode_request([]) == b""
    assert encode_request([ResourceMetrics({"service.name": "shop"}, ())]) == b""
    assert encode_request([ResourceMetrics({"service.name": "shop"}, (counter(),))]) == b""


def test_a_resource_and_a_scope_that_come_twice_are_joined() -> None:
    """Upstream keeps the last of them only: the others' metrics are lost."""
    data = [ResourceMetrics({"a": 1}, (counter(point(n), name=f"m{n}"),)) for n in range(3)]
    [resource] = ours(data).resource_metrics
    [scope] = resource.scope_metrics
    assert [metric.name for metric in scope.metrics] == ["m0", "m1", "m2"]
    [lost] = encode_metrics(metrics_data(data)).resource_metrics
    assert Resource({"a": 1}).attributes["a"] == lost.resource.attributes[0].value.int_value
    assert [metric.name for metric in lost.scope_metrics[0].metrics] == ["m2"]


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 2**70])
def test_ints_beyond_64_bits_are_floats(value: int) -> None:
    data = [ResourceMetrics({}, (counter(point(value)),))]
    with pytest.raises(Exception, match="out of range"):
        encode_metrics(metrics_data(data))
    assert ours_alone(counter(point(value))).sum.data_points[0].as_double == float(value)


def test_an_exemplar_without_a_trace_has_no_ids() -> None:
    made = counter(point(exemplars=(Exemplar(1.5, 3), Exemplar(2, 3, 4, 5))))
    without, within = ours_alone(made).sum.data_points[0].exemplars
    assert (without.trace_id, without.span_id, without.as_double) == (b"", b"", 1.5)
    assert within.trace_id == (4).to_bytes(16, "big")
    assert within.span_id == (5).to_bytes(8, "big")
    assert within.as_int == 2


def test_a_gauge_has_neither_start_nor_temporality() -> None:
    encoded = ours_alone(counter(point(), kind="gauge"))
    assert encoded.WhichOneof("data") == "gauge"
    assert encoded.gauge.data_points[0].start_time_unix_nano == 0


def test_a_metric_that_cant_be_encoded_costs_no_other() -> None:
    errors: list[Exception] = []
    broken = counter(point(10**400))  # too large for a float
    good = counter(point())
    request = encode_request([ResourceMetrics({}, (good, broken))], failed=errors.append)
    assert request == encode_request([ResourceMetrics({}, (good,))])
    assert [type(error) for error in errors] == [struct.error]
    with pytest.raises(struct.error):
        encode_request([ResourceMetrics({}, (broken,))])


def test_ten_thousand_series_arrive() -> None:
    series = tuple(point(n, attributes=(("n", n),)) for n in range(10_000))
    encoded = ours_alone(counter(*series)).sum.data_points
    assert [one.as_int for one in encoded] == list(range(10_000))


def test_a_name_that_upstream_loses_the_export_over_arrives() -> None:
    made = counter(point(), name="orders\ud800", unit="\udfff", description="d\ud800")
    with pytest.raises(UnicodeEncodeError):
        encode_metrics(metrics_data([ResourceMetrics({}, (made,))]))
    encoded = ours_alone(made)
    assert (encoded.name, encoded.unit, encoded.description) == (
        "orders\ufffd",
        "\ufffd",
        "d\ufffd",
    )
