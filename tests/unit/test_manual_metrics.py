"""Metrics of a site's own, and what the test kit shows of them."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import pytest
from django.test import Client
from opentelemetry import metrics as api

from otel_django import counter, gauge, guard, histogram, names, span, up_down_counter
from otel_django.metric_points import NumberPoint
from otel_django.metrics import active
from otel_django.testing import capture

ORDERS = counter("orders.placed", "{order}", "Orders placed.")
OPEN = up_down_counter("carts.open", "{cart}")
STOCK = gauge("stock.level", "{item}")
VALUE = histogram("order.value", "EUR", bounds=(10, 100))


def test_what_is_measured_is_captured() -> None:
    with capture() as captured:
        ORDERS.add(1, {"channel": "web"})
        ORDERS.add(2, {"channel": "web"})
        ORDERS.add(4, {"channel": "shop"})
        OPEN.add(1)
        OPEN.add(-3)
        STOCK.set(12.5, {"item.kind": "book"})
        VALUE.record(30)
        VALUE.record(5)
    assert captured.metric("orders.placed", channel="web").value == 3
    assert captured.metric("orders.placed").value == 7
    assert captured.metric("carts.open").value == -2
    assert captured.metric("stock.level", item__kind="book").value == 12.5
    value = captured.metric("order.value")
    assert (value.value, value.count, value.unit) == (35, 2, "EUR")
    with pytest.raises(AssertionError, match=r"orders\.placed\{channel='shop'\} 4 \{order\}"):
        captured.metric("orders.placed", channel="phone")


def test_a_capture_shows_only_what_was_measured_inside_it() -> None:
    with capture() as outer:
        ORDERS.add(1)
        with capture() as inner:
            ORDERS.add(2)
        assert outer.metric("orders.placed").value == 3
        ORDERS.add(4)
    assert inner.metric("orders.placed").value == 2
    assert outer.metric("orders.placed").value == 7
    with capture() as captured:
        pass
    assert [metric.name for metric in captured.metrics if metric.name == "orders.placed"] == []


def test_built_in_metrics_and_those_of_the_opentelemetry_api_are_captured(database: None) -> None:
    instrument = api.get_meter("shop").create_counter("shipped")
    with capture() as captured:
        Client().get("/template/")
        instrument.add(3)
    assert captured.metric("http.server.request.duration", http__route="/template/").count == 1
    assert captured.metric("shipped").value == 3


def test_outside_a_capture_nothing_is_measured() -> None:
    assert active.recorder() is None
    ORDERS.add(1)


def test_a_measurement_in_a_recorded_span_names_it_as_exemplar() -> None:
    with capture():
        with span("pay") as pay:
            counter("paid").add(1)
        recorder = active.recorder()
        assert recorder is not None
        (metric,) = [metric for metric in recorder.collect() if metric.name == "paid"]
    point = metric.points[0]
    assert isinstance(point, NumberPoint)
    assert [each.span_id for each in point.exemplars] == [pay.get_span_context().span_id]
    assert metric.scope.name == names.SCOPE


def test_a_metric_that_can_not_be_is_said_once_and_does_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wrong: list[Any] = [counter("orders placed"), histogram("spread", bounds=(2, 1))]
    with capture() as captured, caplog.at_level(logging.WARNING, guard.LOGGER_NAME):
        for _ in range(2):
            wrong[0].add(1)
            wrong[1].record(1)
    assert len(caplog.records) == 2
    assert not {"orders placed", "spread"} & {metric.name for metric in captured.metrics}


def test_secrets_in_attributes_are_masked() -> None:
    with capture() as captured:
        ORDERS.add(1, {"authorization": "hunter2", "url": "https://a:hunter2@b/?key=hunter2"})
    assert "hunter2" not in str(captured.metrics)


def test_where_nobody_measures_nothing_is_loaded() -> None:
    code = (
        "import sys, otel_django as o\n"
        "o.counter('a').add(1, {'b': 'c'}); o.histogram('h').record(1); o.gauge('g').set(1)\n"
        "print([m for m in sys.modules if m.partition('.')[0] in ('opentelemetry', 'django')\n"
        "       or m.startswith('otel_django.metric_')])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout.strip() == "[]"
