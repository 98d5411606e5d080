"""Measurements that wait to be recorded together."""

from __future__ import annotations

import threading

from otel_django.metric_points import MetricDefinition
from otel_django.metrics.gathering import MOST_WAITING, Gathering
from tests.metrics_kit import Measured

COUNTED = MetricDefinition("counted", "counter", "1", "", ("key",))


def gathering(measured: Measured) -> Gathering[int]:
    counter = measured.recorder.counter(COUNTED)

    def record(batch: list[int]) -> None:
        for each in batch:
            counter.add(each, ("k",))

    return Gathering(measured.recorder, record)


def test_what_waits_is_in_the_next_collection() -> None:
    measured = Measured()
    taken = gathering(measured)

    taken.take(2)
    taken.take(3)

    assert measured.counts(COUNTED) == {("k",): 5}
    assert measured.counts(COUNTED) == {("k",): 5}


def test_few_wait_though_nobody_collects() -> None:
    measured = Measured()
    taken = gathering(measured)

    for _ in range(10 * MOST_WAITING):
        taken.take(1)

    assert len(taken._waiting) < MOST_WAITING
    assert measured.counts(COUNTED) == {("k",): 10 * MOST_WAITING}


def test_the_first_measurement_after_a_collection_wakes_whoever_flushes() -> None:
    woken: list[bool] = []
    measured = Measured(wake=lambda: woken.append(True))
    taken = gathering(measured)

    taken.take(1)
    taken.take(1)
    assert len(woken) == 1
    measured.recorder.collect()
    assert len(woken) == 1
    taken.take(1)
    assert len(woken) == 2


def test_a_forked_child_drops_what_waited_in_the_parent() -> None:
    measured = Measured()
    taken = gathering(measured)
    taken.take(1)
    taken._draining.acquire()  # as another thread may have, which the child hasn't

    measured.recorder.after_fork()
    taken.take(10)

    assert measured.counts(COUNTED) == {("k",): 10}


def test_threads_that_measure_while_others_collect_lose_nothing() -> None:
    measured = Measured()
    taken = gathering(measured)
    over = threading.Event()

    def collect() -> None:
        while not over.is_set():
            measured.recorder.collect()

    def measure() -> None:
        for _ in range(5000):
            taken.take(1)

    collecting = threading.Thread(target=collect)
    measuring = [threading.Thread(target=measure) for _ in range(4)]
    for thread in (collecting, *measuring):
        thread.start()
    for thread in measuring:
        thread.join()
    over.set()
    collecting.join()

    assert measured.counts(COUNTED) == {("k",): 20_000}
