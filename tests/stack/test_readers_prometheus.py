"""Prometheus as a reader of metrics: the same series as the embedded store has."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_django import metric_definitions, names
from otel_django.alerts.evaluate import Evaluator
from otel_django.alerts.reading import StoreSource
from otel_django.backends import prometheus_api
from otel_django.backends.prometheus import PrometheusReader
from otel_django.backends.prometheus_calls import PrometheusCallsReader
from otel_django.backends.prometheus_releases import PrometheusReleaseReader
from otel_django.backends.remote import Remote
from otel_django.contracts import MetricQuery
from otel_django.errors import ReadError
from otel_django.metric_definitions import HTTP_SERVER_REQUEST_DURATION, MESSAGING_PROCESS_DURATION
from otel_django.metric_points import Exemplar, HistogramPoint, MetricDefinition, NumberPoint
from tests.stack import reading_kit as kit
from tests.stack.stack_kit import Prometheus, running
from tests.store_metrics import BEGAN_NS, counter, histogram, metric, of
from tests.unit.test_alerts_reading import NOW_MS, RULES, answers, value

SECOND = 10**9
MINUTE = 60 * SECOND
AGO = (time.time_ns() - 600 * SECOND) // MINUTE * MINUTE


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Prometheus]:
    prometheus = Prometheus(tmp_path)
    with running(prometheus):
        yield prometheus


@pytest.fixture
def remote(server: Prometheus) -> Remote:
    return Remote("Prometheus", server.url, timeout_s=kit.DEADLINE_S)


@pytest.fixture
def reader(remote: Remote) -> PrometheusReader:
    return PrometheusReader(remote)


def query(name: str = "orders.placed", **conditions: Any) -> MetricQuery:
    times = {"since_ns": AGO, "until_ns": AGO + 600 * SECOND}
    return MetricQuery(**{"name": name, **times, **conditions})


def values(reader: PrometheusReader, **conditions: Any) -> list[list[Any]]:
    answer = reader.read(query(**conditions))
    assert answer.partial == ""
    return [
        [point.value for point in series.points if isinstance(point, NumberPoint)]
        for series in answer.series
    ]


def test_an_empty_backend_has_nothing_to_show(reader: PrometheusReader) -> None:
    assert reader.list_metrics() == ()
    answer = reader.read(query())
    assert (answer.info, answer.series, answer.partial) == (None, (), "")


def test_metrics_are_listed_with_their_attributes(
    server: Prometheus, reader: PrometheusReader
) -> None:
    kit.send_metrics(
        server.port,
        [
            of(requests((1, 0), AGO), counter(1, AGO, route="/", method="GET")),
            of(counter(1, AGO, kind="gauge", name="load"), service="mail"),
        ],
    )
    kit.until(lambda: len(reader.list_metrics()) == 3)
    listed = reader.list_metrics()
    assert [info.name for info in listed] == [
        "http.server.request.duration",
        "load",
        "orders_placed_total",
    ]
    assert [info.kind for info in listed] == ["histogram", "gauge", "counter"]
    assert (listed[0].unit, listed[2].attribute_keys) == ("s", ("method", "route"))


def test_metrics_beyond_the_series_that_are_looked_at_are_listed(
    server: Prometheus, reader: PrometheusReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prometheus_api, "MAX_SERIES", 1)
    points = [counter(1, AGO, kind="gauge", name=name) for name in ("load", "room", "speed")]
    kit.send_metrics(server.port, [of(*points)])
    kit.until(lambda: len(reader.list_metrics()) == 3)


def test_a_series_has_its_points_by_time(server: Prometheus, reader: PrometheusReader) -> None:
    for index in range(4):
        kit.send_metrics(
            server.port, [of(counter(index + 1, AGO + index * 10 * SECOND, route="/"))]
        )
    for name in ("orders.placed", "orders_placed_total"):
        (series,) = reader.read(query(name)).series
        assert (series.service, series.instance) == ("shop", "host/shop/web")
        assert series.attributes == (("route", "/"),)
        assert [point.time_ns for point in series.points] == [
            AGO + index * 10 * SECOND for index in range(4)
        ]
        assert values(reader, name=name) == [[1, 2, 3, 4]]


def test_a_step_takes_the_last_point_of_each(server: Prometheus, reader: PrometheusReader) -> None:
    for index in range(12):
        kit.send_metrics(server.port, [of(counter(index, AGO + index * 10 * SECOND))])
    assert values(reader, step_ns=60 * SECOND) == [[5, 11]]
    assert values(reader, step_ns=30 * SECOND) == [[2, 5, 8, 11]]


@pytest.fixture
def three(server: Prometheus) -> None:
    kit.send_metrics(
        server.port,
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
        ],
    )


@pytest.mark.usefixtures("three")
def test_conditions_choose(reader: PrometheusReader) -> None:
    for conditions, expected in (
        ({}, [[30], [10], [20]]),
        ({"service": "shop"}, [[10], [20]]),
        ({"service": "sho."}, []),
        ({"attributes": {"route": "/b/"}}, [[20]]),
        ({"attributes": {"status": "200"}}, [[30], [10]]),
        ({"attributes": {"status": 200, "route": "/a/"}}, [[30], [10]]),
        ({"attributes": {"method": "GET"}}, []),
        ({"since_ns": AGO + SECOND}, []),
        ({"until_ns": AGO - SECOND}, []),
        ({"since_ns": AGO, "until_ns": AGO}, [[30], [10], [20]]),
        ({"name": "orders"}, []),
    ):
        assert values(reader, **conditions) == expected, conditions


def test_of_more_series_than_asked_for_the_largest_are_read(
    server: Prometheus, reader: PrometheusReader
) -> None:
    points = [NumberPoint((("n", index),), index, BEGAN_NS, AGO) for index in range(20)]
    kit.send_metrics(server.port, [of(metric(*points, name="orders.placed", kind="counter"))])
    answer = reader.read(query(max_series=5))
    assert {dict(series.attributes)["n"] for series in answer.series} == set(
        map(str, range(15, 20))
    )
    assert answer.partial == "the largest 5 of 20 series"
    assert reader.series_count(query(max_series=5)) == 20


def test_histograms_come_back_as_they_were(server: Prometheus, reader: PrometheusReader) -> None:
    exemplar = Exemplar(0.5, AGO, 0xABC, 0xDEF)
    kit.send_metrics(server.port, [of(histogram((1, 2, 3), AGO, exemplar))])
    kit.send_metrics(server.port, [of(histogram((1, 2, 4), AGO + 10 * SECOND))])
    (series,) = reader.read(query("request.duration")).series
    assert series.bounds == (0.1, 1.0)
    first, second = series.points
    assert isinstance(first, HistogramPoint)
    assert isinstance(second, HistogramPoint)
    assert (first.attributes, first.counts, first.sum) == (
        ((names.HTTP_ROUTE, "/"),),
        (1, 2, 3),
        3.0,
    )
    assert (second.counts, second.sum, second.time_ns) == ((1, 2, 4), 3.5, AGO + 10 * SECOND)
    (told,) = first.exemplars
    assert (told.value, told.trace_id, told.span_id) == (0.5, 0xABC, 0xDEF)


def test_a_restart_shows_as_a_sum_that_begins_anew(
    server: Prometheus, reader: PrometheusReader
) -> None:
    kit.send_metrics(server.port, [of(counter(7, AGO))])
    again = NumberPoint((), 1, AGO + 5 * SECOND, AGO + 10 * SECOND)
    kit.send_metrics(server.port, [of(metric(again, name="orders.placed", kind="counter"))])
    (series,) = reader.read(query()).series
    first, second = (point.start_ns for point in series.points)
    assert first == 0
    assert AGO <= second <= AGO + 10 * SECOND


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(), st.text(min_size=1), st.text())
def test_no_text_becomes_part_of_the_query(
    reader: PrometheusReader, remote: Remote, text: str, key: str, value: str
) -> None:
    """A query that is refused would be a ReadError."""
    name = HTTP_SERVER_REQUEST_DURATION.name
    assert values(reader, name=name, service=text, attributes={key: value}) == []
    calls = PrometheusCallsReader(remote)
    calls.requests(AGO, AGO + MINUTE, MINUTE, service=text, name=f"GET {value}")


# --- requests and tasks


def requests(counts: tuple[int, int], at_ns: int, route: str = "/", error: str = "") -> Any:
    definition = HTTP_SERVER_REQUEST_DURATION
    attributes = {
        names.HTTP_REQUEST_METHOD: "GET",
        names.HTTP_ROUTE: route,
        "http.response.status_code": error or "200",
    }
    if error:
        attributes[names.ERROR_TYPE] = error
    return timed(definition, attributes, counts, at_ns)


def timed(
    definition: MetricDefinition, attributes: dict[str, str], counts: tuple[int, int], at_ns: int
) -> Any:
    """Calls that took 0.02 s and 2 s."""
    held = [0] * (len(definition.bounds) + 1)
    held[2], held[10] = counts
    point = HistogramPoint(
        tuple(sorted(attributes.items())),
        tuple(held),
        0.02 * counts[0] + 2.0 * counts[1],
        BEGAN_NS,
        at_ns,
    )
    return metric(point, name=definition.name, kind="histogram", bounds=definition.bounds)._replace(
        unit="s"
    )


@pytest.fixture
def calls(server: Prometheus, remote: Remote) -> PrometheusCallsReader:
    for minute in range(5):
        at_ns = AGO + minute * MINUTE + 30 * SECOND
        kit.send_metrics(
            server.port,
            [
                of(requests((10 * (minute + 1), minute), at_ns)),
                of(requests((minute, 0), at_ns, route="/b/", error="500")),
                of(
                    timed(
                        MESSAGING_PROCESS_DURATION,
                        {names.CELERY_TASK_NAME: "shop.confirm"},
                        (minute + 1, 0),
                        at_ns,
                    ),
                    service="worker",
                ),
            ],
        )
    return PrometheusCallsReader(remote)


def test_endpoints_are_counted_as_they_are(calls: PrometheusCallsReader) -> None:
    found = {(each.service, each.name): each for each in calls.endpoints(AGO, AGO + 5 * MINUTE - 1)}
    first = found["shop", "GET /"]
    assert (first.route, first.count, first.errors) == ("/", 54, 0)
    assert first.duration_ns == pytest.approx((50 * 0.02 + 4 * 2.0) * 1e9)
    assert 10_000_000 < first.p50_ns <= 25_000_000
    assert 1_000_000_000 < first.p99_ns <= 2_500_000_000
    failed = found["shop", "GET /b/"]
    assert (failed.count, failed.errors) == (4, 4)
    assert found["worker", "process shop.confirm"].count == 5
    with pytest.raises(ReadError, match="no statements"):
        calls.statements(AGO, AGO + MINUTE)


def test_what_ended_long_before_a_steps_end_is_counted(calls: PrometheusCallsReader) -> None:
    """Prometheus shows what it has no new samples of for five minutes; steps are hours."""
    lengths = (minutes * MINUTE for minutes in range(60, 40, -1))
    step_ns = next(each for each in lengths if AGO // each == (AGO + 12 * MINUTE) // each)
    line = calls.requests(AGO, AGO + 10 * MINUTE, step_ns, service="shop", name="GET /")
    assert [each.count for each in line.moments] == [54]


def test_only_what_a_range_has_is_in_its_total(calls: PrometheusCallsReader) -> None:
    """Steps may be as long as the range: their first and last one have minutes beyond it."""
    since_ns, until_ns = AGO + MINUTE, AGO + 3 * MINUTE - 1
    for step_ns in (MINUTE, 2 * MINUTE, 7 * MINUTE, 60 * MINUTE):
        line = calls.requests(since_ns, until_ns, step_ns, service="shop", name="GET /")
        assert line.total.count == 22
        assert line.total.duration_ns == pytest.approx((20 * 0.02 + 2 * 2.0) * 1e9)
    found = {(each.service, each.name): each for each in calls.endpoints(since_ns, until_ns)}
    assert found["shop", "GET /"].count == 22
    week = 7 * 24 * 60 * MINUTE
    found = {(each.service, each.name): each for each in calls.endpoints(AGO - week, until_ns)}
    assert found["shop", "GET /"].count == 32
    assert calls.requests(AGO - week, until_ns, week, name="GET /").total.count == 32


def test_requests_over_time(calls: PrometheusCallsReader) -> None:
    line = calls.requests(AGO, AGO + 5 * MINUTE - 1, MINUTE, service="shop", name="GET /")
    assert [each.count for each in line.moments] == [10, 11, 11, 11, 11]
    assert line.total.count == 54
    tasks = calls.requests(AGO, AGO + 5 * MINUTE - 1, MINUTE, kind="tasks")
    assert [each.count for each in tasks.moments] == [1, 1, 1, 1, 1]
    courses = calls.courses(AGO, AGO + 5 * MINUTE - 1, MINUTE)
    assert courses["worker", "process shop.confirm"] == (1, 1, 1, 1, 1)


def test_releases_are_known_by_when_they_ran(server: Prometheus, remote: Remote) -> None:
    for version, minutes in (("1", (0, 1, 2)), ("2", (2, 3))):
        for minute in minutes:
            one = of(counter(minute, AGO + minute * MINUTE), instance=f"host/{version}")
            resource = {**one.resource, names.SERVICE_VERSION: version}
            kit.send_metrics(server.port, [one._replace(resource=resource)])
    first, second = PrometheusReleaseReader(remote).releases(AGO, AGO + 9 * MINUTE)
    assert (first.service, first.version, second.version) == ("shop", "1", "2")
    assert AGO <= first.first_ns <= first.last_ns <= AGO + 9 * MINUTE
    assert first.first_ns <= second.first_ns


# --- alerts


def sent(server: Prometheus, definition: MetricDefinition, each: Any, ago_s: range) -> None:
    """A point for each time, as the unit tests of rules on the store have them."""
    for number, ago in enumerate(ago_s):
        point = each(number, NOW_MS * 1_000_000 - ago * SECOND)
        made = metric(point, name=definition.name, kind=definition.kind, bounds=definition.bounds)
        kit.send_metrics(server.port, [of(made._replace(unit=definition.unit))])


def firing(remote: Remote, rule: str) -> dict[str, float]:
    evaluator = Evaluator(StoreSource(PrometheusReader(remote)))
    found = evaluator.breaches(RULES[rule], NOW_MS)
    return {key.severity: breach.value for key, breach in found.items()}


def test_rules_find_what_they_find_in_the_store(server: Prometheus, remote: Remote) -> None:
    sent(server, HTTP_SERVER_REQUEST_DURATION, answers(200, 90), range(900, 0, -15))
    sent(server, HTTP_SERVER_REQUEST_DURATION, answers(500, 10), range(900, 0, -15))
    mountpoint = {"system__filesystem__mountpoint": "/"}
    disk = value(0.97, **mountpoint)
    sent(server, metric_definitions.SYSTEM_FILESYSTEM_UTILIZATION, disk, range(900, 0, -15))
    backlog = value(9000, messaging__destination__name="celery")
    sent(server, metric_definitions.CELERY_QUEUE_LENGTH, backlog, range(700, 699, -1))
    ten = pytest.approx(10)
    assert firing(remote, "HighErrorRate") == {"warning": ten, "critical": ten}
    full = pytest.approx(97)
    assert firing(remote, "DiskFull") == {"warning": full, "critical": full}
    assert firing(remote, "QueueBacklog") == {}, "the series has ended"
    assert firing(remote, "LowCacheHitRate") == {}, "nothing is known of it"
