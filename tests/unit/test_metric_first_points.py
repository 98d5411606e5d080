"""What counters gained by the points of long steps, against all points: nothing is lost."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from otel_django.backends.embedded_metrics import EmbeddedMetricReader
from otel_django.contracts import MetricQuery
from otel_django.metric_points import NumberPoint
from otel_django.store.metric_writer import MetricWriter
from otel_django.store.writer import StoreWriter
from tests.store_metrics import metric, of
from tests.store_spans import Losses
from tests.unit.test_embedded_reader import SteppedClock
from tests.unit.test_store_retention import keep_house

HOUR_S, MINUTE_NS = 3600, 60 * 10**9
TAKES, SERIES = 150, 25
Lives = dict[str, list[NumberPoint]]


def gain(points: Sequence[NumberPoint]) -> float:
    """As Prometheus's ``increase`` counts, and by the starts."""
    return sum(
        after.value - before.value if after.start_ns == before.start_ns else after.value
        for before, after in pairwise(points)
    )


@pytest.fixture
def lives(path: Path, losses: Losses) -> Lives:
    """The points of counters that begin, end and begin anew at any time, written over two days.

    All began long before the first take: none of them is known to begin at 0 where it is met.
    """
    chance, clock = random.Random(7), SteppedClock()
    spans = StoreWriter(path, retention_hours=200, max_mb=64, drops=losses, clock=clock)
    writer = MetricWriter(spans.file, drops=losses, clock=clock)
    began_ns = clock.now_ns() - 10**15
    born = {name: chance.randrange(TAKES - 20) for name in map(str, range(SERIES))}
    dead = {name: take + chance.randrange(2, TAKES) for name, take in born.items()}
    told: Lives = {name: [] for name in born}
    for take in range(TAKES):
        for name, points in told.items():
            if not born[name] <= take < dead[name]:
                continue
            before = points[-1] if points else NumberPoint((), 1000, began_ns, 0)
            start_ns, value = before.start_ns, before.value + chance.randrange(1, 50)
            if points and chance.random() < 0.05:
                start_ns, value = clock.now_ns() - MINUTE_NS, chance.randrange(1, 50)
            points.append(NumberPoint((("name", name),), value, start_ns, clock.now_ns()))
        now = [points[-1] for points in told.values() if points]
        writer.take(
            [
                of(metric(point, name="orders.placed", kind="counter"))
                for point in now
                if point.time_ns == clock.now_ns()
            ]
        )
        clock.s += chance.choice((60, 240, 1800))
    clock.s -= HOUR_S // 2
    keep_house(spans, clock)
    writer.release()
    spans.release()
    return told


def test_long_steps_lose_no_gain_since_the_ranges_first_step(path: Path, lives: Lives) -> None:
    chance, reader = random.Random(8), EmbeddedMetricReader(path)
    times = sorted({point.time_ns for points in lives.values() for point in points})
    for step_minutes in (1, 7, 30, 45, 120, 300, 1440):
        step_ns = step_minutes * MINUTE_NS
        for _ in range(6):
            low_ns, high_ns = sorted(chance.sample(times, 2))
            low_ns -= chance.randrange(3 * step_ns)
            query = MetricQuery("orders.placed", low_ns, high_ns, step_ns=step_ns)
            found = {
                str(dict(one.attributes)["name"]): [
                    point for point in one.points if isinstance(point, NumberPoint)
                ]
                for one in reader.read(query).series
            }
            for name, points in lives.items():
                inside = [point for point in points if low_ns <= point.time_ns <= high_ns]
                first = [each for each in inside if each.time_ns // step_ns == low_ns // step_ns]
                known = [*{each.start_ns: each for each in first}.values(), *inside[len(first) :]]
                assert gain(found.get(name, [])) == gain(known), name
