"""Writing metrics to the embedded store: what changed, rolled up and dropped with age."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from otel_django.backends.embedded_metrics import EmbeddedMetricReader
from otel_django.contracts import MetricQuery
from otel_django.metric_points import NumberPoint
from otel_django.store import metric_writer
from otel_django.store.batch_writer import MAX_WAITING
from otel_django.store.metric_writer import MetricWriter
from otel_django.store.writer import StoreWriter
from tests.store_metrics import BEGAN_NS, counter, metric, of
from tests.store_spans import Losses
from tests.unit.test_embedded_reader import SteppedClock
from tests.unit.test_store_retention import keep_house

HOUR_S = 3600


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


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


def test_series_of_two_services_that_name_no_instance_are_two(
    path: Path, writer: MetricWriter, clock: SteppedClock
) -> None:
    now = clock.now_ns()
    services = [of(counter(1, now), service=name, instance="") for name in ("shop", "mail")]
    writer.take(services)
    writer.release()
    assert points(path) == [(now, 1), (now, 1)]


def test_series_of_very_large_attributes_are_not_remembered_for_long(
    path: Path, writer: MetricWriter, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metric_writer, "MAX_REMEMBERED_CHARACTERS", 1_000)
    for size in (1, 10_000, 1, 1):
        writer.take([of(counter(1, clock.now_ns(), k="x" * size))])
        clock.s += 1
    writer.release()
    assert len(points(path)) == 3


def test_more_points_than_may_wait_are_written_as_they_come(
    path: Path, writer: MetricWriter, clock: SteppedClock, losses: Losses
) -> None:
    now = clock.now_ns()
    many = [NumberPoint((("n", number),), number, 1, now) for number in range(MAX_WAITING + 1)]
    writer.take([of(metric(*many, name="orders.placed", kind="counter"))])
    writer.release()
    assert losses.counts == {}
    assert len(points(path)) == len(many)


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


LIVES = {
    "steady": ((0, 10**6),),
    "ended": ((0, 17),),
    "began": ((100, 10**6),),
    "again": ((0, 40), (101, 10**6)),
    "short": ((63, 64), (89, 91)),
}
"""Between which takes, ten minutes apart, a series is told of."""


@pytest.mark.parametrize("step_minutes", [1, 7, 30, 120, 240, 360, 1440])
def test_of_whatever_table_each_steps_last_point_is_read_and_a_late_series_first(
    path: Path, kept: dict[str, list[int]], step_minutes: int
) -> None:
    minute, reader = 60 * 10**9, EmbeddedMetricReader(path)
    step, first = step_minutes * minute, kept["steady"][0]
    for since, until in ((0, 10**5), (7, 1201), (125, 599), (240, 1680), (611, 640)):
        low, high = first + since * minute, first + until * minute
        wanted = {}
        for name, times in kept.items():
            inside = [at for at in times if low <= at <= high]
            last = {at // step: at for at in inside}
            if last:
                late = {inside[0]} if inside[0] // step > low // step else set()
                wanted[name] = sorted({*late, *last.values()})
        query = MetricQuery("orders.placed", low, high, step_ns=step)
        assert found(reader, query) == wanted
        for name in LIVES:
            one = replace(query, attributes={"life": name})
            assert found(reader, one) == {key: row for key, row in wanted.items() if key == name}


@pytest.fixture
def kept(path: Path, clock: SteppedClock, losses: Losses) -> dict[str, list[int]]:
    """The times of points by series, written over 30 hours and made old, but for the last hour."""
    clock.s -= clock.s % (24 * HOUR_S)
    spans = StoreWriter(path, retention_hours=200, max_mb=64, drops=losses, clock=clock)
    writer = MetricWriter(spans.file, drops=losses, clock=clock)
    told: dict[str, list[int]] = {name: [] for name in LIVES}
    for take in range(180):
        now = clock.now_ns()
        living = [name for name, lives in LIVES.items() if any(a <= take < b for a, b in lives)]
        points = [NumberPoint((("life", name),), take, BEGAN_NS, now) for name in living]
        others = [NumberPoint((("other", n),), take, BEGAN_NS, now) for n in range(40)]
        writer.take([of(metric(*points, *others, name="orders.placed", kind="counter"))])
        for name in living:
            told[name].append(now)
        clock.s += 600
    keep_house(spans, clock)
    writer.release()
    spans.release()
    return told


def found(reader: EmbeddedMetricReader, query: MetricQuery) -> dict[str, list[int]]:
    series = reader.read(query).series
    return {
        str(dict(each.attributes)["life"]): [point.time_ns for point in each.points]
        for each in series
        if "life" in dict(each.attributes)
    }


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
