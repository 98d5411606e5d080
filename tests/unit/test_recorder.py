"""The recorder: what threads measure, summed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.trace import SpanContext, TraceFlags

from otel_django.clock import SYSTEM_CLOCK
from otel_django.metric_points import (
    ExponentialPoint,
    HistogramPoint,
    Metric,
    MetricDefinition,
    NumberPoint,
)
from otel_django.metrics.recorder import Recorder

REQUESTS = MetricDefinition("requests", "counter", "{request}", "Requests.", ("method", "route"))
ACTIVE = MetricDefinition("active", "up_down_counter", "{request}", "Now.", ("method",))
TEMPERATURE = MetricDefinition("temperature", "gauge", "Cel", "Now.", ("room",))
DURATION = MetricDefinition("duration", "histogram", "s", "Time.", ("route",), (0.1, 1.0))


def recorder(**options: Any) -> Recorder:
    return Recorder(clock=SYSTEM_CLOCK, **options)


def metric(made: Recorder, name: str) -> Metric:
    return next(metric for metric in made.collect() if metric.name == name)


def values(made: Recorder, name: str) -> dict[Any, Any]:
    points = metric(made, name).points
    return {point.attributes: point.value for point in points if isinstance(point, NumberPoint)}


def in_thread(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_a_counter_sums_what_all_threads_add_also_ended_ones() -> None:
    made = recorder()
    counter = made.counter(REQUESTS)
    counter.add(1, ("GET", "/a/"))
    for _ in range(200):  # as a server with a thread a request
        in_thread(lambda: counter.add(2, ("GET", "/a/")))
    assert values(made, "requests") == {(("method", "GET"), ("route", "/a/")): 401}
    assert len(made._shards._threads) < 100


def test_absent_values_are_left_out_and_attributes_are_sorted() -> None:
    made = recorder()
    made.counter(REQUESTS).add(1, ("GET", None))
    assert values(made, "requests") == {(("method", "GET"),): 1}


def test_an_instrument_is_the_same_for_the_same_definition() -> None:
    made = recorder()
    assert made.counter(REQUESTS) is made.counter(REQUESTS)


def test_what_goes_up_in_one_thread_may_go_down_in_another() -> None:
    made = recorder()
    active = made.up_down_counter(ACTIVE)
    active.add(1, ("GET",))
    in_thread(lambda: active.add(-1, ("GET",)))
    assert values(made, "active") == {(("method", "GET"),): 0}
    assert metric(made, "active").kind == "up_down_counter"


def test_a_gauge_is_what_was_set_last_by_any_thread() -> None:
    made = recorder()
    gauge = made.gauge(TEMPERATURE)
    gauge.set(20, ("hall",))
    in_thread(lambda: gauge.set(21.5, ("hall",)))
    assert values(made, "temperature") == {(("room", "hall"),): 21.5}


def test_a_histogram_counts_up_to_each_bound_and_above() -> None:
    made = recorder()
    histogram = made.histogram(DURATION)
    for seconds in (0.1, 0.5, 1.0, 7.0):
        histogram.record(seconds, ("/",))
    in_thread(lambda: histogram.at(("/",)).record(0.05))
    collected = metric(made, "duration")
    (point,) = collected.points
    assert isinstance(point, HistogramPoint)
    assert collected.bounds == (0.1, 1.0)
    assert (point.counts, point.count) == ((2, 2, 1), 5)
    assert point.sum == pytest.approx(8.65)
    assert (point.min, point.max) == (0.05, 7.0)


class _Span:
    def __init__(self, span_id: int, flags: int) -> None:
        self._context = SpanContext(7, span_id, is_remote=False, trace_flags=TraceFlags(flags))

    def get_span_context(self) -> SpanContext:
        return self._context


@pytest.mark.parametrize("aggregation", ["explicit", "exponential"])
@pytest.mark.parametrize("exemplar_filter", ["trace_based", "always_on", "always_off"])
def test_measurements_taken_together_are_what_they_are_one_by_one(
    aggregation: Any, exemplar_filter: Any
) -> None:
    seconds = (0.25, 0.0625, 2.0, 0.125, 0.5)
    spans = (_Span(1, 1), None, _Span(2, 1), _Span(3, 0), _Span(4, 0))
    points = []
    for together in (False, True):
        made = recorder(aggregation=aggregation, exemplar_filter=exemplar_filter)
        histogram = made.histogram(DURATION)
        if together:
            histogram.record_all(seconds, ("/",), spans)
            histogram.record_all(seconds, ("/",))
        else:
            for value, span in zip(seconds * 2, (*spans, *[None] * 5), strict=True):
                histogram.record(value, ("/",), span)
        (point,) = metric(made, "duration").points
        assert isinstance(point, HistogramPoint | ExponentialPoint)
        taken: list[Any] = []
        if isinstance(point, HistogramPoint):  # else the time decides which ones stay
            taken = sorted((one.value, one.trace_id, one.span_id) for one in point.exemplars)
        points.append((point._replace(start_ns=0, time_ns=0, exemplars=()), taken))
    assert points[0] == points[1]


def test_collecting_takes_nothing_away() -> None:
    made = recorder()
    made.counter(REQUESTS).add(1, ("GET", "/"))
    assert made.collect()[0].points[0].attributes == made.collect()[0].points[0].attributes
    assert list(values(made, "requests").values()) == [1]


def test_a_metric_without_measurements_is_left_out() -> None:
    made = recorder()
    made.histogram(DURATION)
    assert made.collect() == ()


def test_observed_values_are_asked_for_at_each_collection() -> None:
    made = recorder()
    readings = [(20.0, ("hall",)), (18.0, ("attic",))]
    made.observe(TEMPERATURE, lambda: readings)
    assert len(values(made, "temperature")) == 2
    readings.pop()
    assert values(made, "temperature") == {(("room", "hall"),): 20.0}


def test_the_first_measurement_after_a_collection_wakes_and_no_other() -> None:
    calls: list[int] = []
    made = recorder(wake=lambda: calls.append(1))
    cell = made.counter(REQUESTS).at(("GET", "/"))
    for _ in range(3):
        cell.add(1)
    assert len(calls) == 1
    made.collect()
    assert len(calls) == 1
    made.gauge(TEMPERATURE).set(1, ("hall",))
    made.histogram(DURATION).record(1, ("/",))
    assert len(calls) == 2


def test_P1_a_forked_child_begins_at_zero() -> None:
    made = recorder()
    counter, gauge = made.counter(REQUESTS), made.gauge(TEMPERATURE)
    counter.add(5, ("GET", "/"))
    gauge.set(5, ("hall",))
    before = metric(made, "requests").points[0].start_ns
    made.after_fork()
    assert made.collect() == ()
    counter.add(1, ("GET", "/"))
    assert list(values(made, "requests").values()) == [1]
    assert metric(made, "requests").points[0].start_ns > before
