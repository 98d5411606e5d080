"""What a metric holds is bounded; and which measurements stand for it."""

from __future__ import annotations

import logging
import threading
import tracemalloc
from typing import Any

import pytest

from otel_django import guard
from otel_django.clock import SYSTEM_CLOCK
from otel_django.metric_definitions import OTEL_DJANGO_METRIC_OVERFLOWS
from otel_django.metric_points import Exemplar, Metric, MetricDefinition
from otel_django.metrics.custom import CustomCounter
from otel_django.metrics.recorder import Recorder
from tests.tracing_kit import Collected

ORDERS = MetricDefinition("orders", "counter", "{order}", "Orders.", ("user",))
STOCK = MetricDefinition("stock", "gauge", "{item}", "Stock.", ("item",))
DURATION = MetricDefinition("duration", "histogram", "s", "Time.", ("route",), (0.1, 1.0))
OVERFLOW = (("otel.metric.overflow", True),)


def made(**options: Any) -> Recorder:
    return Recorder(clock=SYSTEM_CLOCK, **options)


def found(recorder: Recorder) -> dict[str, Metric]:
    return {metric.name: metric for metric in recorder.collect()}


def values(recorder: Recorder, name: str) -> dict[Any, Any]:
    points: Any = found(recorder)[name].points
    return {point.attributes: point.value for point in points}


def in_threads(count: int, work: Any) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_R5_beyond_the_limit_measurements_are_summed_up_counted_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    recorder = made(cardinality_limit=100)
    counter = recorder.counter(ORDERS)

    def work(thread: int) -> None:
        for user in range(5_000):
            counter.add(1, (f"{thread}-{user}",))

    with caplog.at_level(logging.WARNING, guard.LOGGER_NAME):
        in_threads(4, work)
    sums = values(recorder, "orders")
    assert sum(sums.values()) == 20_000
    assert 100 <= len(sums) < 104  # one more for each thread that came at the same moment
    overflows = values(recorder, OTEL_DJANGO_METRIC_OVERFLOWS.name)
    assert overflows == {(("otel_django.metric", "orders"),): sums[OVERFLOW]}
    assert [record.getMessage()[:17] for record in caplog.records] == ["The metric orders"]


def test_a_known_series_stays_its_own_when_the_limit_is_reached() -> None:
    recorder = made(cardinality_limit=2)
    counter = recorder.counter(ORDERS)
    for user in ("a", "b", "a", "c"):
        counter.add(1, (user,))
    assert values(recorder, "orders") == {(("user", "a"),): 2, OVERFLOW: 2}


def test_gauges_histograms_and_observed_values_have_the_limit_too() -> None:
    recorder = made(cardinality_limit=10)
    gauge, histogram = recorder.gauge(STOCK), recorder.histogram(DURATION)
    recorder.observe(ORDERS, lambda: [(1, (str(number),)) for number in range(50)])
    for number in range(50):
        gauge.set(number, (str(number),))
        histogram.record(number, (str(number),))
    metrics = found(recorder)
    assert {name: len(metrics[name].points) for name in ("stock", "duration", "orders")} == {
        "stock": 10,
        "duration": 10,
        "orders": 10,
    }
    assert values(recorder, "orders")[OVERFLOW] == 41
    assert values(recorder, "stock")[OVERFLOW] == 49


def test_memory_is_bounded_whatever_attributes_come() -> None:
    recorder = made(cardinality_limit=100)
    counter = recorder.meter().instrument(CustomCounter, "counter", "orders")
    for number in range(1_000):
        counter.add(1, {"user": f"{number}"})
    tracemalloc.start()
    try:
        for number in range(20_000):
            counter.add(1, {"user": f"new {number}", "list": [number]})
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 200_000  # kept, they would be ten times as much
    assert sum(values(recorder, "orders").values()) == 21_000


def test_sums_are_right_while_threads_measure_and_others_collect() -> None:
    recorder = made()
    counter, histogram = recorder.counter(ORDERS), recorder.histogram(DURATION)
    seen: list[float] = []
    over = threading.Event()

    def collect() -> None:
        while not over.is_set():
            metrics: Any = found(recorder)
            if "orders" in metrics:
                seen.append(sum(point.value for point in metrics["orders"].points))

    def work(thread: int) -> None:
        for number in range(3_000):
            counter.add(1, (str(number % 50),))
            histogram.record(0.5, (str(thread),))

    collecting = threading.Thread(target=collect)
    collecting.start()
    for _ in range(4):
        in_threads(4, work)
    over.set()
    collecting.join()
    assert seen == sorted(seen)
    assert sum(values(recorder, "orders").values()) == 48_000
    points: Any = found(recorder)["duration"].points
    assert sum(point.count for point in points) == 48_000
    assert sum(point.sum for point in points) == 24_000


def test_other_threads_get_their_turn_while_many_series_are_collected() -> None:
    recorder = made()
    counter = recorder.counter(ORDERS)
    for number in range(1_000):
        counter.add(1, (str(number),))
    pauses: list[int] = []
    recorder.collect(lambda: pauses.append(1))
    assert len(pauses) > 20


def exemplars(recorder: Recorder, name: str) -> list[Exemplar]:
    points: Any = found(recorder)[name].points
    return [exemplar for point in points for exemplar in point.exemplars]


def test_the_last_measurement_of_each_bucket_in_a_recorded_trace_is_an_exemplar() -> None:
    for aggregation in ("explicit", "exponential"):
        recorder = made(aggregation=aggregation)
        histogram = recorder.histogram(DURATION)
        tracer = Collected().tracer
        first, last = tracer.start_span("first"), tracer.start_span("last")
        histogram.record(0.5, ("/",), first)
        histogram.record(0.5, ("/",), last)
        histogram.record(0.5, ("/",))
        kept = exemplars(recorder, "duration")
        assert kept[-1].value == 0.5
        assert kept[-1].trace_id == last.get_span_context().trace_id
        assert kept[-1].span_id == last.get_span_context().span_id
        if aggregation == "explicit":
            assert len(kept) == 1


def test_exemplars_of_ended_threads_stay_unless_there_are_later_ones() -> None:
    recorder = made()
    counter = recorder.counter(ORDERS)
    spans = [Collected().tracer.start_span("x") for _ in range(3)]
    for span in spans:
        thread = threading.Thread(target=counter.add, args=(1, ("a",), span))
        thread.start()
        thread.join()
        recorder.collect()
    ids = [exemplar.span_id for exemplar in exemplars(recorder, "orders")]
    assert ids == [spans[-1].get_span_context().span_id]


@pytest.mark.parametrize(
    ("exemplar_filter", "sampled", "kept"),
    [
        ("trace_based", True, 1),
        ("trace_based", False, 0),
        ("trace_based", None, 0),
        ("always_off", True, 0),
        ("always_on", True, 1),
        ("always_on", False, 1),
        ("always_on", None, 1),
    ],
)
def test_the_filter_says_which_measurements_may_be_exemplars(
    exemplar_filter: str, sampled: bool | None, kept: int
) -> None:
    recorder = made(exemplar_filter=exemplar_filter)
    span = None
    if sampled is not None:
        name = "always_on" if sampled else "always_off"
        span = Collected(sampler=name).tracer.start_span("x")
    recorder.counter(ORDERS).add(1, ("a",), span)
    assert len(exemplars(recorder, "orders")) == kept
