"""Stores that bring pages into a state: full to the brim, old, damaged."""

from __future__ import annotations

import random
import sqlite3
import time
from pathlib import Path
from typing import Final

from otel_django.log_record import LogRecord
from otel_django.metric_points import Metric, NumberPoint
from otel_django.store.metric_writer import MetricWriter
from otel_django.store.writer import LogWriter, StoreWriter
from otel_django.tracing.span import Span
from tests.store_logs import record
from tests.store_metrics import metric, of
from tests.store_spans import MS, Losses, SpanSource
from tests.unit.test_embedded_reader import SteppedClock
from tests.unit.test_store_retention import keep_house

HOUR_S: Final = 3600
REQUESTS: Final = 600
ROUTES: Final = 250
FAULTS: Final = 510
LINES: Final = 600
SERIES: Final = 2_000
OLDEST_H: Final = 60
"""What was kept from so long ago has made room."""
SECOND_OLDEST_H: Final = 50
MANY_SERIES: Final = "shop.stock.items"


def write_full(path: Path) -> None:
    """More of everything than a page shows, and something before it that made room."""
    _write_old(path)
    losses = Losses()
    store = StoreWriter(path, retention_hours=24, max_mb=256, drops=losses)
    logs = LogWriter(store.file, drops=losses)
    metrics = MetricWriter(store.file, drops=losses)
    now_ns = time.time_ns()
    store.accept(_requests(now_ns))
    store.flush(time.monotonic() + 20)
    logs.accept([_line(now_ns, number) for number in range(LINES)])
    logs.flush(time.monotonic() + 20)
    for ago_s in (600, 300, 5):
        metrics.take([of(_stock(now_ns - int(ago_s * 1e9)))])
        metrics.flush(time.monotonic() + 20)
    for writer in (metrics, logs, store):
        writer.close(time.monotonic() + 5)
    assert losses.counts == {}


def _write_old(path: Path) -> None:
    clock = SteppedClock()
    clock.s = time.time() - OLDEST_H * HOUR_S
    store = StoreWriter(path, retention_hours=24, max_mb=256, drops=Losses(), clock=clock)
    source = SpanSource()
    for ago_h in (OLDEST_H, SECOND_OLDEST_H, 0):
        clock.s = time.time() - ago_h * HOUR_S
        source.request(start=clock.now_ns())
        store.accept(source.take())
        store.flush(clock.s + 5)
    keep_house(store, clock)
    store.close(clock.s + 5)


def _requests(now_ns: int) -> list[Span]:
    chance = random.Random(8)
    source = SpanSource()
    for number in range(REQUESTS):
        source.request(
            f"/catalogue/{number % ROUTES}/",
            start=now_ns - chance.randrange(1, 55 * 60) * 1_000 * MS,
            status=500 if number % 40 == 0 else 200,
            duration_ms=chance.lognormvariate(3.5, 0.8),
        )
    for number in range(FAULTS):
        start = now_ns - chance.randrange(1, 55 * 60) * 1_000 * MS
        root = source.root("POST /checkout/", start=start, http__route="/checkout/")
        root.record_exception(_fault(number))
        root.fail("Fault")
        root.end(start + 12 * MS)
    return source.take()


def _fault(number: int) -> Exception:
    fault: Exception = type(f"Fault{number}", (ValueError,), {})("the bank refused")
    return fault


def _line(now_ns: int, number: int) -> LogRecord:
    level = ("info", "info", "info", "warning", "error")[number % 5]
    return record("order placed", level=level, time_ns=now_ns - number * 4_000 * MS, order=number)


def _stock(time_ns: int) -> Metric:
    """A gauge of very many series."""
    points = [
        NumberPoint((("product", f"p-{number}"),), (number * 7) % 90, time_ns, time_ns)
        for number in range(SERIES)
    ]
    return metric(*points, name=MANY_SERIES, kind="gauge")


def damage(path: Path, *begins: str) -> None:
    """Break the tables whose names begin so, as a bad disk would: the others stay readable."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    size = connection.execute("PRAGMA page_size").fetchone()[0]
    roots = [
        root
        for name, root in connection.execute("SELECT tbl_name, rootpage FROM sqlite_master")
        if root and name.startswith(begins)
    ]
    connection.close()
    assert roots
    with path.open("r+b") as file:
        for root in roots:
            file.seek((root - 1) * size)
            file.write(b"\xff" * size)
