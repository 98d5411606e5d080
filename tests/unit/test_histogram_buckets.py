"""Histograms beside the SDK's: the same measurements give the same buckets."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import MeterProvider as SdkMeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import (
    Aggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    View,
)

from otel_django.clock import SYSTEM_CLOCK
from otel_django.metric_points import ExponentialPoint, HistogramPoint, MetricDefinition
from otel_django.metrics.exponential import MAX_SIZE
from otel_django.metrics.recorder import Recorder

BOUNDS = (0.0, 0.5, 1.0, 8.0, 1e6)
SPREAD = MetricDefinition("spread", "histogram", "1", "", (), BOUNDS)
numbers = st.one_of(
    st.floats(min_value=0, max_value=1e300, allow_nan=False),
    st.floats(min_value=0.001, max_value=10),
    st.integers(min_value=0, max_value=2**60),
    st.sampled_from([0.0, 0.5, 1.0, 2.0, 4.0, 1e-320, 2.2250738585072014e-308, 1.7e308]),
)


def sdk_point(values: list[float], aggregation: Aggregation) -> Any:
    reader = InMemoryMetricReader()
    view = View(instrument_name="spread", aggregation=aggregation)
    provider = SdkMeterProvider([reader], views=[view], shutdown_on_exit=False)
    histogram = provider.get_meter("m").create_histogram("spread")
    for value in values:
        histogram.record(value)
    data = reader.get_metrics_data()
    provider.shutdown()
    assert data is not None
    return data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points[0]


def our_point(values: list[float], aggregation: Any, threads: int = 1) -> Any:
    recorder = Recorder(clock=SYSTEM_CLOCK, aggregation=aggregation)
    histogram = recorder.histogram(SPREAD)

    def record(part: list[float]) -> None:
        for value in part:
            histogram.record(value)

    if threads == 1:
        record(values)
    else:
        for number in range(threads):
            thread = threading.Thread(target=record, args=(values[number::threads],))
            thread.start()
            thread.join()
    return recorder.collect()[0].points[0]


@settings(max_examples=60, deadline=None)
@given(st.lists(numbers, min_size=1, max_size=40))
def test_explicit_buckets_are_the_sdks(values: list[float]) -> None:
    theirs = sdk_point(values, ExplicitBucketHistogramAggregation(BOUNDS))
    ours = our_point(values, "explicit")
    assert isinstance(ours, HistogramPoint)
    assert ours.counts == tuple(theirs.bucket_counts)
    assert (ours.count, ours.min, ours.max) == (theirs.count, theirs.min, theirs.max)
    assert ours.sum == pytest.approx(theirs.sum)


@settings(max_examples=150, deadline=None)
@given(st.lists(numbers, min_size=1, max_size=60))
@example([0.0, 0.0])
@example([1.0, 1.0000001, 1e300, 1e-300])
def test_exponential_buckets_are_the_sdks(values: list[float]) -> None:
    theirs = sdk_point(values, ExponentialBucketHistogramAggregation())
    ours = our_point(values, "exponential")
    assert isinstance(ours, ExponentialPoint)
    assert ours.scale == theirs.scale
    assert (ours.zero_count, ours.count) == (theirs.zero_count, theirs.count)
    assert without_ends(ours.positive_offset, ours.positive) == without_ends(
        theirs.positive.offset, tuple(theirs.positive.bucket_counts)
    )
    assert (ours.min, ours.max) == (theirs.min, theirs.max)


def without_ends(offset: int, counts: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    """The same buckets without empty ones at the ends."""
    full = [index for index, count in enumerate(counts) if count]
    return (offset + full[0], counts[full[0] : full[-1] + 1]) if full else (0, ())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(min_value=1e-9, max_value=1e9), min_size=4, max_size=60))
def test_exponential_buckets_of_several_threads_are_summed(values: list[float]) -> None:
    alone = our_point(values, "exponential")
    summed = our_point(values, "exponential", threads=3)
    assert summed.scale == alone.scale
    assert (summed.count, summed.min, summed.max) == (alone.count, alone.min, alone.max)
    assert len(summed.positive) <= MAX_SIZE
    assert abs(summed.positive_offset - alone.positive_offset) <= 1


def test_a_point_says_nothing_of_the_smallest_and_largest_before_the_first_measurement() -> None:
    for aggregation in ("explicit", "exponential"):
        recorder = Recorder(clock=SYSTEM_CLOCK, aggregation=aggregation)
        recorder.histogram(SPREAD).at()
        point: Any = recorder.collect()[0].points[0]
        assert (point.count, point.min, point.max) == (0, None, None)
