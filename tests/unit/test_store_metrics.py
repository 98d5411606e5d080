"""Writing metrics to the embedded store: what changed, rolled up and dropped with age."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from otel_django.backends.embedded_metrics import EmbeddedMetricReader
from otel_django.contracts import MetricQuery
from otel_django.metric_points import NumberPoint
from otel_django.store.metric_writer import MetricWriter
from otel_django.store.writer import StoreWriter
from tests.store_metrics import counter, of
from tests.store_spans import Losses, store_path
from tests.unit.test_embedded_reader import SteppedClock
from tests.unit.test_store_retention import keep_house

HOUR_S = 3600


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return store_path(tmp_path)


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def losses() -> Losses:
    return Losses()


@pytest.fixture
def spans(path: Path, clock: SteppedClock, losses: Losses) -> Iterator[StoreWriter]:
    made = StoreWriter(
        path,
        retention_hours=24,
        max_mb=64,
        drops=losses,
        clock=clock,
        metrics_retention_hours=3,
    )
    yield made
    made.release()


@pytest.fixture
def writer(spans: StoreWriter, clock: SteppedClock, losses: Losses) -> MetricWriter:
    return MetricWriter(spans.file, drops=losses, clock=clock)


def points(path: Path, table: str = "point_1") -> list[tuple[int, float]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT time_ns, value FROM {table} ORDER BY time_ns").fetchall()


def test_only_what_changed_is_written_and_all_every_five_minutes(
    path: Path, writer: MetricWriter, clock: SteppedClock, losses: Losses
) -> None:
    began = clock.now_ns()
    for value in (1, 1, 1, 2, 2):
        writer.take([of(counter(value, clock.now_ns()))])
        clock.s += 10
    clock.s += 300
    writer.take([of(counter(2, clock.now_ns()))])
    writer.release()
    assert losses.counts == {}
    assert points(path) == [(began, 1), (began + 30 * 10**9, 2), (clock.now_ns(), 2)]


def test_series_of_two_instances_are_two(
    path: Path, writer: MetricWriter, clock: SteppedClock
) -> None:
    now = clock.now_ns()
    writer.take([of(counter(1, now)), of(counter(7, now), instance="host/shop/worker")])
    writer.release()
    assert sorted(points(path)) == [(now, 1), (now, 7)]


def test_points_over_an_hour_old_are_rolled_up_to_the_last_of_each_minute(
    path: Path, spans: StoreWriter, writer: MetricWriter, clock: SteppedClock
) -> None:
    clock.s -= clock.s % 60
    began = clock.now_ns()
    for value in range(12):
        writer.take([of(counter(value, clock.now_ns()), counter(5, clock.now_ns(), "still"))])
        clock.s += 10
    clock.s += HOUR_S
    writer.take([of(counter(100, clock.now_ns()))])
    keep_house(spans, clock)
    writer.release()
    assert [value for _, value in points(path)] == [100]
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT (time_ns - ?) / 1000000000, value FROM minute_1 ORDER BY 1, 2", (began,)
        ).fetchall()
    assert rows == [(0, 5), (50, 5), (110, 11)]


def test_long_steps_read_half_hours_between_the_minutes_at_the_ends(
    path: Path, spans: StoreWriter, writer: MetricWriter, clock: SteppedClock
) -> None:
    clock.s -= clock.s % HOUR_S
    began = clock.now_ns()
    for value in range(150):
        writer.take([of(counter(value, clock.now_ns()))])
        clock.s += 60
    clock.s += HOUR_S // 2
    writer.take([of(counter(1000, clock.now_ns()))])
    keep_house(spans, clock)
    writer.release()
    assert [value for _, value in points(path, "half_hour_1")][:3] == [29, 59, 89]
    minute = 60 * 10**9
    query = MetricQuery(
        "orders.placed", began + 7 * minute, began + 75 * minute, step_ns=30 * minute
    )
    (series,) = EmbeddedMetricReader(path).read(query).series
    values = [point.value for point in series.points if isinstance(point, NumberPoint)]
    assert values == [29, 59, 75]


def test_metrics_past_their_own_age_go_before_the_slice(
    path: Path, spans: StoreWriter, writer: MetricWriter, clock: SteppedClock
) -> None:
    for hour in range(6):
        writer.take([of(counter(hour, clock.now_ns()))])
        clock.s += HOUR_S
        spans.file._housekeeping_at_s = 0
        keep_house(spans, clock)
    writer.release()
    with closing(sqlite3.connect(path)) as connection:
        numbers = [number for (number,) in connection.execute("SELECT id FROM slice")]
    tables = [f"{table}_{number}" for number in numbers for table in ("minute", "point")]
    halves = [value for number in numbers for _, value in points(path, f"half_hour_{number}")]
    kept = [value for table in tables for _, value in points(path, table)]
    assert sorted(kept) == [3, 4, 5]
    assert min(halves) >= 2  # a half hour goes as a whole
    assert numbers[0] == 1


def test_points_that_cannot_be_written_are_counted_as_metrics(
    path: Path, writer: MetricWriter, clock: SteppedClock, losses: Losses
) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (id)")
    writer.take([of(counter(1, clock.now_ns()))])
    assert losses.counts == {("metrics", "store_error"): 1}
