"""What every reader of metrics must do, whatever it reads from."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otel_django.backends.embedded_metrics import EmbeddedMetricReader
from otel_django.contracts import MetricInfo, MetricQuery, MetricReader
from otel_django.metric_points import (
    Exemplar,
    ExponentialPoint,
    HistogramPoint,
    NumberPoint,
    ResourceMetrics,
)
from otel_django.store.metric_writer import MetricWriter
from otel_django.store.writer import StoreWriter
from tests.store_metrics import BEGAN_NS, BOUNDS, counter, histogram, metric, of
from tests.store_spans import Losses, store_path

SECOND = 10**9
AGO = (time.time_ns() - 600 * SECOND) // (60 * SECOND) * 60 * SECOND


class Backend:
    """A place to put metrics, and a reader of it."""

    def __init__(self, put: Callable[[list[ResourceMetrics]], None], reader: MetricReader) -> None:
        self.put = put
        self.reader = reader


def embedded(folder: Path) -> Backend:
    path = store_path(folder)

    def put(data: list[ResourceMetrics]) -> None:
        losses = Losses()
        store = StoreWriter(path, retention_hours=24, max_mb=64, drops=losses)
        writer = MetricWriter(store.file, drops=losses)
        writer.take(data)
        writer.close(time.monotonic() + 1)
        assert losses.counts == {}

    return Backend(put, EmbeddedMetricReader(path))


BACKENDS = {"embedded": embedded}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    return BACKENDS[request.param](tmp_path)


def query(name: str = "orders.placed", **conditions: Any) -> MetricQuery:
    times = {"since_ns": AGO, "until_ns": AGO + 600 * SECOND}
    return MetricQuery(**{"name": name, **times, **conditions})


def values(backend: Backend, **conditions: Any) -> list[list[Any]]:
    answer = backend.reader.read(query(**conditions))
    assert answer.partial == ""
    return [
        [point.value for point in series.points if isinstance(point, NumberPoint)]
        for series in answer.series
    ]


def test_an_empty_backend_has_nothing_to_show(backend: Backend) -> None:
    assert backend.reader.list_metrics() == ()
    answer = backend.reader.read(query())
    assert (answer.info, answer.series, answer.partial) == (None, (), "")


def test_metrics_are_listed_by_name_with_their_attributes(backend: Backend) -> None:
    backend.put(
        [
            of(histogram((1, 0, 0), AGO), counter(1, AGO, route="/", method="GET")),
            of(counter(1, AGO, kind="gauge", name="load"), service="mail"),
        ]
    )
    listed = backend.reader.list_metrics()
    assert [info.name for info in listed] == ["load", "orders.placed", "request.duration"]
    assert listed[1] == MetricInfo(
        "orders.placed", "{order}", "What was ordered.", "counter", ("method", "route")
    )
    assert [info.kind for info in listed] == ["gauge", "counter", "histogram"]


def test_a_series_has_its_cumulative_points_by_time(backend: Backend) -> None:
    for index in range(4):
        backend.put([of(counter(index + 1, AGO + index * 10 * SECOND, route="/"))])
    (series,) = backend.reader.read(query()).series
    assert (series.service, series.instance) == ("shop", "host/shop/web")
    assert series.attributes == (("route", "/"),)
    assert series.points[0] == NumberPoint((("route", "/"),), 1, BEGAN_NS, AGO)
    assert [point.time_ns for point in series.points] == [
        AGO + index * 10 * SECOND for index in range(4)
    ]


def test_a_step_takes_the_last_point_of_each(backend: Backend) -> None:
    for index in range(12):
        backend.put([of(counter(index, AGO + index * 10 * SECOND))])
    assert values(backend, step_ns=60 * SECOND) == [[5, 11]]
    assert values(backend, step_ns=30 * SECOND) == [[2, 5, 8, 11]]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, [[30], [10], [20]]),
        ({"service": "shop"}, [[10], [20]]),
        ({"service": "nobody"}, []),
        ({"attributes": {"route": "/b/"}}, [[20]]),
        ({"attributes": {"status": "200"}}, [[30], [10]]),
        ({"attributes": {"status": 200, "route": "/a/"}}, [[30], [10]]),
        ({"attributes": {"method": "GET"}}, []),
        ({"since_ns": AGO + 1}, []),
        ({"until_ns": AGO - 1}, []),
        ({"since_ns": AGO, "until_ns": AGO}, [[30], [10], [20]]),
        ({"name": "orders"}, []),
    ],
)
def test_conditions_choose(
    backend: Backend, conditions: dict[str, Any], expected: list[list[int]]
) -> None:
    backend.put(
        [
            of(
                metric(
                    NumberPoint((("route", "/a/"), ("status", 200)), 10, BEGAN_NS, AGO),
                    NumberPoint((("route", "/b/"), ("status", 404)), 20, BEGAN_NS, AGO),
                    name="orders.placed",
                    kind="counter",
                )
            ),
            of(counter(30, AGO, route="/a/", status=200), service="mail"),
        ]
    )
    assert values(backend, **conditions) == expected


def test_of_more_series_than_asked_for_the_largest_are_read(backend: Backend) -> None:
    points = [NumberPoint((("n", index),), index, BEGAN_NS, AGO) for index in range(20)]
    backend.put([of(metric(*points, name="orders.placed", kind="counter"))])
    answer = backend.reader.read(query(max_series=5))
    assert {dict(series.attributes)["n"] for series in answer.series} == {15, 16, 17, 18, 19}
    assert answer.partial == "the largest 5 of 20 series"
    assert backend.reader.series_count(query(max_series=5)) == 20


def test_histograms_come_back_as_they_were(backend: Backend) -> None:
    exemplar = Exemplar(0.5, AGO, 0xABC, 0xDEF, (("user", "x"),))
    backend.put([of(histogram((1, 2, 3), AGO, exemplar))])
    backend.put([of(histogram((1, 2, 4), AGO + 10 * SECOND))])
    answer = backend.reader.read(query("request.duration"))
    (series,) = answer.series
    assert series.bounds == BOUNDS
    assert series.points == (
        HistogramPoint(
            (("http.route", "/"),), (1, 2, 3), 3.0, BEGAN_NS, AGO, 0.01, 2.5, (exemplar,)
        ),
        HistogramPoint(
            (("http.route", "/"),), (1, 2, 4), 3.5, BEGAN_NS, AGO + 10 * SECOND, 0.01, 2.5
        ),
    )


def test_exponential_histograms_come_back_as_they_were(backend: Backend) -> None:
    point = ExponentialPoint(
        (("k", ("a", "b")),), 3, 2, -4, (1, 0, 5), 0, (), 12.5, BEGAN_NS, AGO, 0.0, 4.0
    )
    backend.put([of(metric(point, name="sizes", kind="exponential_histogram"))])
    (series,) = backend.reader.read(query("sizes")).series
    assert series.points == (point,)


def test_a_restart_shows_as_a_sum_that_begins_anew(backend: Backend) -> None:
    backend.put([of(counter(7, AGO))])
    again = NumberPoint((), 1, AGO + 5 * SECOND, AGO + 10 * SECOND)
    backend.put([of(metric(again, name="orders.placed", kind="counter"))])
    (series,) = backend.reader.read(query()).series
    assert [point.start_ns for point in series.points] == [BEGAN_NS, AGO + 5 * SECOND]


@pytest.mark.parametrize("value", [-3, 0.1, 2**62, float("nan")])
def test_numbers_come_back_exactly(backend: Backend, value: float) -> None:
    backend.put([of(counter(value, AGO, kind="gauge"))])
    assert repr(values(backend)) == repr([[value]])
