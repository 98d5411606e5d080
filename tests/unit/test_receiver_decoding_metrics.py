"""Metrics that other services send become points that the store and its charts know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

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
from otel_django.receiver.decoding import decode
from otel_django.receiver.decoding_deltas import DeltaSums
from otel_django.store.json_text import dumps
from tests.unit.received import (
    JSON,
    PROTOBUF,
    SPAN_ID,
    TRACE_ID,
    as_json,
    attribute,
    of_items,
    of_json,
    of_message,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

slow_to_make = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
RESOURCE = {"service.name": "shop", "service.instance.id": "shop/1"}
SCOPE = Scope("tests", "1", "", (("team", "orders"),))
DELTA, CUMULATIVE = 1, 2

labels = st.dictionaries(
    st.sampled_from(["route", "method", "é"]),
    st.text("aé\x00", max_size=3) | st.integers(-(2**63), 2**63 - 1) | st.booleans(),
).map(lambda found: tuple(sorted(found.items())))
times = st.integers(1, 2**64 - 1)
doubles = st.floats(allow_nan=False)
counts = st.integers(0, 2**50)
exemplars = st.lists(
    st.builds(
        Exemplar, doubles, times, st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), labels
    ),
    max_size=2,
).map(tuple)
numbers = st.builds(
    NumberPoint, labels, st.integers(-(2**63), 2**63 - 1) | doubles, times, times, exemplars
)
histograms = st.builds(
    HistogramPoint,
    labels,
    st.tuples(counts, counts, counts),
    doubles,
    times,
    times,
    doubles,
    doubles,
    exemplars,
)
exponentials = st.builds(
    ExponentialPoint,
    labels,
    st.integers(-10, 20),
    counts,
    st.just(-1),
    st.lists(counts, min_size=1, max_size=2).map(tuple),
    st.just(0),
    st.lists(counts, max_size=1).map(tuple),
    doubles,
    times,
    times,
    doubles,
    doubles,
    exemplars,
)


@st.composite
def metrics(draw: st.DrawFn) -> Metric:
    kind: Any = draw(st.sampled_from(["counter", "up_down_counter", "histogram"]))
    kind = draw(st.just(kind) | st.sampled_from(["gauge", "exponential_histogram"]))
    points: Any = {"histogram": histograms, "exponential_histogram": exponentials}.get(
        kind, numbers
    )
    if kind == "gauge":
        points = numbers.map(lambda point: point._replace(start_ns=0))
    return Metric(
        draw(st.sampled_from(["orders", "größe"])),
        "1",
        "What was ordered.",
        kind,
        tuple(draw(st.lists(points, min_size=1, max_size=3))),
        (0.5, 2.0) if kind == "histogram" else (),
        "cumulative" if kind == "gauge" else draw(st.sampled_from(["cumulative", "delta"])),
        SCOPE,
    )


@slow_to_make
@given(st.lists(metrics(), min_size=1, max_size=3))
def test_what_upstreams_encoder_sends_are_the_same_points(found: list[Metric]) -> None:
    data = [ResourceMetrics(RESOURCE, tuple(found))]
    message = encode_metrics(metrics_data(data))
    for decoded in (
        of_message("metrics", message),
        decode("metrics", JSON, as_json(message)),
        decode("metrics", JSON, as_json(message, names_of_enums=True)),
        decode("metrics", PROTOBUF, encode_request(data)),
    ):
        assert (decoded.rejected, decoded.message) == (0, "")
        assert list(decoded.points) == data


def points(*items: dict[str, Any], rejected: int = 0, message: str = "") -> list[Metric]:
    """The metrics of a request, the same in both encodings."""
    from_json = of_json("metrics", *items, service__name="shop")
    found = of_items("metrics", *items, service__name="shop")
    assert list(found.points) == list(from_json.points)
    assert (found.rejected, found.message) == (from_json.rejected, from_json.message)
    assert (found.rejected, found.message) == (rejected, message)
    return [metric for part in found.points for metric in part.metrics]


def sum_of(*data: dict[str, Any], temporality: int = CUMULATIVE) -> dict[str, Any]:
    told = {"dataPoints": list(data), "aggregationTemporality": temporality, "isMonotonic": True}
    return {"name": "orders", "sum": told}


def histogram_of(*data: dict[str, Any], temporality: int = CUMULATIVE) -> dict[str, Any]:
    told = {"dataPoints": list(data), "aggregationTemporality": temporality}
    return {"name": "duration", "unit": "s", "histogram": told}


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (sum_of({"timeUnixNano": 1}), "a point without a value"),
        (
            sum_of({"asInt": 1}, temporality=0),
            "a sum must say whether it is cumulative or a delta",
        ),
        ({**sum_of({"asInt": 1}), "name": ""}, "a metric without a name"),
        (
            histogram_of({"bucketCounts": [1, 2], "explicitBounds": [1, 2]}),
            "a histogram needs one bucket more than it has bounds",
        ),
        (
            histogram_of({"bucketCounts": [1, 2, 3], "explicitBounds": [2, 1]}),
            "a histogram's bounds must rise",
        ),
        (
            histogram_of({"bucketCounts": [1, 2], "explicitBounds": ["NaN"]}),
            "a histogram's bounds must rise",
        ),
        (
            histogram_of({"bucketCounts": [2**64 - 1]}),
            "a bucket's count is beyond 63 bits",
        ),
        (histogram_of({"bucketCounts": [0] * 3_000}), "more than 2,000 buckets"),
        (
            {
                "name": "e",
                "exponentialHistogram": {
                    "aggregationTemporality": 2,
                    "dataPoints": [{"scale": -(2**31)}],
                },
            },
            "a scale that isn't between -10 and 20",
        ),
        (
            {
                "name": "e",
                "exponentialHistogram": {
                    "aggregationTemporality": 2,
                    "dataPoints": [{"positive": {"offset": 2**30, "bucketCounts": [1]}}],
                },
            },
            "buckets of numbers that there are none of",
        ),
    ],
)
def test_a_point_that_cant_be_kept_is_rejected_alone(item: dict[str, Any], reason: str) -> None:
    good = sum_of({"asInt": "5", "timeUnixNano": 1})
    found = points(item, good, rejected=1, message=f"1 data point: {reason}")
    assert [metric.name for metric in found] == ["orders"]


def test_a_broken_point_in_json_costs_no_other_of_its_metric() -> None:
    item = sum_of({"asInt": "5", "timeUnixNano": 1}, {"asInt": "many"}, {"asInt": 6})
    found = of_json("metrics", item)
    assert sum(len(metric.points) for part in found.points for metric in part.metrics) == 2
    assert found.message == "1 data point: asInt has a value of the wrong kind"


def test_a_point_of_no_value_ends_a_series_and_is_none() -> None:
    assert points(sum_of({"flags": 1, "asInt": 1})) == []


def test_a_histogram_of_other_bounds_is_another_metric_of_the_name() -> None:
    found = points(
        histogram_of(
            {"bucketCounts": [1, 2], "explicitBounds": [1], "timeUnixNano": 1},
            {"bucketCounts": [1, 2, 3], "explicitBounds": [1, 2], "timeUnixNano": 1},
            {"bucketCounts": ["3", "4"], "explicitBounds": [1], "timeUnixNano": 2},
        )
    )
    assert [(metric.bounds, len(metric.points)) for metric in found] == [((1.0,), 2), ((1, 2), 1)]


def test_a_histogram_without_buckets_keeps_count_and_sum() -> None:
    [metric] = points(histogram_of({"count": "7", "sum": 3.5, "timeUnixNano": 1}))
    [point] = metric.points
    assert isinstance(point, HistogramPoint)
    assert (metric.bounds, point.counts, point.sum, point.min) == ((), (7,), 3.5, None)


def test_a_summary_is_a_gauge_of_its_quantiles_and_two_counters() -> None:
    values = [{"quantile": 0.5, "value": 0.1}, {"quantile": 0.99, "value": 2}]
    data = {
        "timeUnixNano": 9,
        "startTimeUnixNano": 1,
        "count": "4",
        "sum": 1.5,
        "quantileValues": values,
        "attributes": [attribute("route", "/")],
    }
    found = points({"name": "wait", "unit": "s", "summary": {"dataPoints": [data]}})
    told = {
        (metric.name, metric.unit, metric.kind): [
            (dict(point.attributes), point.value)
            for point in metric.points
            if isinstance(point, NumberPoint)
        ]
        for metric in found
    }
    assert told == {
        ("wait", "s", "gauge"): [
            ({"route": "/", "quantile": "0.5"}, 0.1),
            ({"route": "/", "quantile": "0.99"}, 2.0),
        ],
        ("wait.count", "", "counter"): [({"route": "/"}, 4)],
        ("wait.sum", "s", "counter"): [({"route": "/"}, 1.5)],
    }


def test_exemplars_name_their_trace() -> None:
    exemplar = {"asDouble": 2.5, "timeUnixNano": 8, "traceId": TRACE_ID, "spanId": SPAN_ID}
    [metric] = points(sum_of({"asInt": 1, "timeUnixNano": 9, "exemplars": [exemplar]}))
    assert metric.points[0].exemplars == (Exemplar(2.5, 8, int(TRACE_ID, 16), int(SPAN_ID, 16)),)


def test_labels_that_arent_plain_become_text() -> None:
    value = {"kvlistValue": {"values": [attribute("a", "b")]}}
    told = [{"key": "k", "value": value}, {"key": "b", "value": {"bytesValue": "AA=="}}]
    [metric] = points(sum_of({"asInt": 1, "timeUnixNano": 9, "attributes": told}))
    assert dict(metric.points[0].attributes) == {"k": '{"a":"b"}', "b": dumps(b"\0")}
    hash(metric.points[0].attributes)


def test_a_metric_of_very_many_points_is_taken_in_parts() -> None:
    data = [NumberPoint((("n", number), ("text", "x" * 90)), 1, 1, 2) for number in range(12_000)]
    metric = Metric("orders", "", "", "counter", tuple(data), scope=SCOPE)
    body = encode_request([ResourceMetrics(RESOURCE, (metric,))])
    assert len(body) > 1024 * 1024
    found = decode("metrics", PROTOBUF, body)
    kept = [point for part in found.points for each in part.metrics for point in each.points]
    assert (found.rejected, kept) == (0, data)


# --- deltas


def deltas(*points: NumberPoint | HistogramPoint, **resource: str) -> list[ResourceMetrics]:
    kind: Any = "counter" if isinstance(points[0], NumberPoint) else "histogram"
    bounds = () if kind == "counter" else (1.0,)
    metric = Metric("orders", "", "", kind, points, bounds, "delta")
    return [ResourceMetrics({**RESOURCE, **resource}, (metric,))]


def values(data: Iterable[ResourceMetrics]) -> list[tuple[float, int, int]]:
    for part in data:
        assert {metric.temporality for metric in part.metrics} == {"cumulative"}
    return [
        (point.value, point.start_ns, point.time_ns)
        for part in data
        for metric in part.metrics
        for point in metric.points
        if isinstance(point, NumberPoint)
    ]


def test_deltas_are_added_up_from_their_first_start() -> None:
    sums = DeltaSums()
    assert values(sums.cumulative(deltas(NumberPoint((), 2, 10, 20)))) == [(2, 10, 20)]
    later = deltas(NumberPoint((), 5, 30, 40), NumberPoint((), 1, 20, 30))
    assert values(sums.cumulative(later)) == [(3, 10, 30), (8, 10, 40)]
    other = deltas(NumberPoint((), 7, 30, 40), **{"service.instance.id": "shop/2"})
    assert values(sums.cumulative(other)) == [(7, 30, 40)]


def test_a_delta_without_a_start_begins_when_it_was_measured() -> None:
    assert values(DeltaSums().cumulative(deltas(NumberPoint((), 2, 0, 20)))) == [(2, 20, 20)]


def test_deltas_of_histograms_are_added_bucket_by_bucket() -> None:
    sums = DeltaSums()
    sums.cumulative(deltas(HistogramPoint((), (1, 2), 3.0, 1, 2, 0.5, 1.5)))
    [part] = sums.cumulative(deltas(HistogramPoint((), (4, 0), 1.0, 2, 3, 0.1, 0.9)))
    [point] = part.metrics[0].points
    assert point == HistogramPoint((), (5, 2), 4.0, 1, 3, 0.1, 1.5)


def test_cumulative_points_pass_as_they_are() -> None:
    data = deltas(NumberPoint((), 2, 10, 20))
    data = [
        part._replace(metrics=(part.metrics[0]._replace(temporality="cumulative"),))
        for part in data
    ]
    assert DeltaSums().cumulative(data) == data


def test_what_was_heard_of_longest_ago_is_forgotten_first() -> None:
    sums = DeltaSums(max_series=2)
    for name in ("a", "b", "a", "c", "a"):
        sums.cumulative(deltas(NumberPoint((("k", name),), 1, 10, 20)))
    again = [deltas(NumberPoint((("k", name),), 1, 10, 20)) for name in ("a", "b")]
    assert [values(sums.cumulative(each))[0][0] for each in again] == [4, 1]


def test_few_series_of_very_large_attributes_are_forgotten_as_many_small_ones_are() -> None:
    sums = DeltaSums(max_characters=20_000)
    long = ("a" * 6_000, "b" * 6_000)
    for name in (*long, "c"):
        sums.cumulative(deltas(NumberPoint((("k", name),), 1, 10, 20)))
    again = [deltas(NumberPoint((("k", name),), 1, 10, 20)) for name in ("c", *reversed(long))]
    assert [values(sums.cumulative(each))[0][0] for each in again] == [2, 2, 1]


def test_a_sum_beyond_what_the_store_holds_begins_anew() -> None:
    sums = DeltaSums()
    sums.cumulative(deltas(NumberPoint((), 2**63 - 1, 10, 20)))
    assert values(sums.cumulative(deltas(NumberPoint((), 1, 20, 30)))) == [(1, 20, 30)]
