"""Sums of processes that begin anew: nothing that was counted before is lost in long steps."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_django.backends.embedded_metrics import EmbeddedMetricReader
from otel_django.metric_points import NumberPoint
from otel_django.store.metric_writer import MetricWriter
from otel_django.store.writer import StoreWriter
from otel_django.viewer import series
from otel_django.viewer.ranges import TimeRange
from tests.store_metrics import metric, of
from tests.store_spans import Losses
from tests.unit.test_embedded_reader import SteppedClock
from tests.unit.test_store_retention import keep_house

SECOND = 1_000_000_000
HOUR_S = 3_600
BEGAN_S = 1_700_006_400
"""A multiple of two hours and more."""


@pytest.fixture
def clock() -> SteppedClock:
    made = SteppedClock()
    made.s = float(BEGAN_S)
    return made


@pytest.fixture
def spans(path: Path, clock: SteppedClock, losses: Losses) -> Iterator[StoreWriter]:
    made = StoreWriter(path, retention_hours=48, max_mb=64, drops=losses, clock=clock)
    yield made
    made.release()


def test_what_was_counted_before_a_restart_is_in_steps_of_any_length(
    path: Path, spans: StoreWriter, clock: SteppedClock, losses: Losses
) -> None:
    chance = random.Random(7)
    writer = MetricWriter(spans.file, drops=losses, clock=clock)
    start_s, value, total = BEGAN_S, 0, 0
    for at_s in range(BEGAN_S + 10, BEGAN_S + 9 * HOUR_S, 10):
        clock.s = float(at_s)
        if chance.random() < 0.05:
            start_s, value = at_s - 10, 0
        more = chance.randrange(1, 5)
        value, total = value + more, total + more
        point = NumberPoint((), value, start_s * SECOND, at_s * SECOND)
        writer.take([of(metric(point, name="orders.placed", kind="counter"))])
        if at_s % 300 == 0:
            keep_house(spans, clock)
    when = TimeRange(BEGAN_S * SECOND, (BEGAN_S + 9 * HOUR_S) * SECOND, "")
    for steps in (500, 100, 28, 18, 4):
        found = series.read(EmbeddedMetricReader(path), "orders.placed", when, most_steps=steps)
        assert found.all.total == pytest.approx(total, rel=0.002)
    assert losses.counts == {}
