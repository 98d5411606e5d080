"""Retention: whole slices go by age and size, in steps, by one process at a time."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from otel_django.backends.embedded import EmbeddedReader
from otel_django.contracts import TraceQuery
from otel_django.store.retention import Retention
from otel_django.store.slices import Limits
from otel_django.store.writer import StoreWriter
from tests.store_spans import Losses, SpanSource
from tests.unit.test_embedded_reader import SteppedClock

HOUR_NS = 3_600 * 10**9


def slices(path: Path) -> list[int]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT id FROM slice ORDER BY id").fetchall()
    connection.close()
    return [number for (number,) in rows]


def tables(path: Path, number: int) -> int:
    with sqlite3.connect(path) as connection:
        sql = "SELECT count(*) FROM sqlite_master WHERE tbl_name GLOB ?"
        count: int = connection.execute(sql, (f"*_{number}",)).fetchone()[0]
    connection.close()
    return count


def keep_house(writer: StoreWriter, clock: SteppedClock) -> int:
    """Poll until nothing is left to do; how many steps it took."""
    for step in range(2_000):
        wish = writer.poll(clock.s)
        assert wish is not None
        if wish > 1:
            return step
        clock.s += wish
    raise AssertionError("it never ends")


def test_slices_past_their_age_are_dropped_whole(path: Path) -> None:
    clock = SteppedClock()
    writer = StoreWriter(path, retention_hours=12, max_mb=64, drops=Losses(), clock=clock)
    source = SpanSource()
    for _ in range(16):
        source.request(start=clock.now_ns())
        writer.accept(source.take())
        clock.s += 3601
    assert keep_house(writer, clock) > 5
    writer.release()
    kept = slices(path)
    assert kept[0] > 1
    assert 12 <= len(kept) <= 14
    assert tables(path, 1) == 0
    traces = EmbeddedReader(path).list_traces(TraceQuery()).traces
    assert len(traces) >= 12
    assert min(trace.start_ns for trace in traces) >= clock.now_ns() - 14 * HOUR_NS


def test_the_file_stays_within_its_size(path: Path) -> None:
    clock = SteppedClock()
    losses = Losses()
    writer = StoreWriter(path, retention_hours=24, max_mb=8, drops=losses, clock=clock)
    source = SpanSource()
    largest = 0
    for index in range(120):
        for _ in range(20):
            root = source.root(f"GET /{index}/")
            root._attributes["payload"] = f"{index} " + "x" * 10_000
            root.end()
        writer.accept(source.take())
        clock.s += 1.1
        writer.file._housekeeping_at_s = 0
        keep_house(writer, clock)
        largest = max(largest, path.stat().st_size)
    writer.close(clock.s + 1)
    assert largest < 11 * 1024 * 1024
    assert slices(path)[0] > 1
    newest = EmbeddedReader(path).list_traces(TraceQuery()).traces[0]
    assert newest.name == "GET /119/"
    assert losses.counts == {}


def test_free_pages_are_given_back(path: Path) -> None:
    clock = SteppedClock()
    writer = StoreWriter(path, retention_hours=12, max_mb=16, drops=Losses(), clock=clock)
    source = SpanSource()
    for _ in range(10):
        for _ in range(50):
            root = source.root("GET /large/")
            root._attributes["payload"] = "x" * 20_000
            root.end()
        writer.accept(source.take())
    full = path.stat().st_size + path.with_name(f"{path.name}-wal").stat().st_size
    for _ in range(14):
        clock.s += 3600
        source.request(queries=0)
        writer.accept(source.take())
        writer.file._housekeeping_at_s = 0
        keep_house(writer, clock)
    writer.close(clock.s + 1)
    assert path.stat().st_size < full / 2


def test_one_process_keeps_house_at_a_time(path: Path) -> None:
    clock = SteppedClock()
    writer = StoreWriter(path, retention_hours=12, max_mb=16, drops=Losses(), clock=clock)
    source = SpanSource()
    for _ in range(15):
        source.request(queries=0)
        writer.accept(source.take())
        clock.s += 3601
    writer.close(clock.s)
    limits = Limits.of(12, 16)
    first, second = Retention(path, limits), Retention(path, limits)
    connection = sqlite3.connect(path, isolation_level=None)
    now_ns = clock.now_ns()
    assert first.step(connection, now_ns)
    assert not second.step(connection, now_ns)
    later_ns = now_ns + 61 * 10**9  # the first is gone; what it began is finished
    for _ in range(100):
        if not second.step(connection, later_ns):
            break
    assert not first.step(connection, later_ns)
    connection.close()
    assert tables(path, 1) == 0


def test_a_reader_that_holds_on_is_not_disturbed(path: Path) -> None:
    from otel_django.backends.embedded_session import session

    clock = SteppedClock()
    writer = StoreWriter(path, retention_hours=12, max_mb=16, drops=Losses(), clock=clock)
    source = SpanSource()
    source.request(queries=0)
    writer.accept(source.take())
    with session(path, 30) as read:
        assert [part.id for part in read.slices] == [1]
        for _ in range(15):
            clock.s += 3601
            source.request(queries=0)
            writer.accept(source.take())
        keep_house(writer, clock)
        assert read.run("SELECT count(*) FROM span_1") == [(1,)]
    assert tables(path, 1) == 0
    writer.close(time.monotonic())
