"""Writing log records to the embedded store."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from otel_django.store import log_schema, metric_schema, schema
from otel_django.store.writer import LogWriter, StoreWriter
from tests.store_logs import record
from tests.store_spans import Losses, SpanSource


@pytest.fixture
def spans(path: Path, losses: Losses) -> Iterator[StoreWriter]:
    made = StoreWriter(path, retention_hours=24, max_mb=64, drops=losses)
    yield made
    made.release()


@pytest.fixture
def logs(spans: StoreWriter, losses: Losses) -> LogWriter:
    return LogWriter(spans.file, drops=losses)


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def test_spans_and_logs_share_one_file_and_one_connection(
    path: Path, spans: StoreWriter, logs: LogWriter, losses: Losses
) -> None:
    source = SpanSource()
    for index in range(20):
        source.request()
        spans.accept(source.take())
        logs.accept([record(f"message {index}"), record("order.placed")])
    spans.close(time.monotonic() + 1)
    logs.close(time.monotonic() + 1)
    assert losses.counts == {}
    assert query(path, "SELECT count(*) FROM span_1") == [(60,)]
    assert query(path, "SELECT count(*), count(DISTINCT event) FROM log_1") == [(40, 21)]
    assert query(path, "SELECT count(*) FROM slice") == [(1,)]


def test_a_trace_id_is_readable_in_plain_sql(path: Path, logs: LogWriter) -> None:
    logs.accept([record(trace_id=(0xFEDC << 112) | 0x8000_0000_0000_0001, span_id=1 << 63)])
    logs.release()
    sql = "SELECT printf('%016x%016x', trace_high, trace_low), printf('%016x', span_id) FROM log_1"
    assert query(path, sql) == [("fedc0000000000008000000000000001", "8000000000000000")]


@pytest.mark.parametrize(
    "attributes",
    [
        {"text": "\ud800 lone", "number": 2**80},
        {"deep": {"a": [1, {"b": None}]}, "bytes": b"\x00\xff", "infinite": float("inf")},
        {"long": "x" * 300_000},
        {'quote"d': "a'b", "": ""},
    ],
)
def test_odd_values_are_stored(
    path: Path, logs: LogWriter, losses: Losses, attributes: dict[str, Any]
) -> None:
    logs.accept([record("odd", time_ns=2**70, **attributes), record("plain")])
    logs.release()
    assert losses.counts == {}
    assert query(path, "SELECT event FROM log_1 ORDER BY id") == [("odd",), ("plain",)]


def test_records_that_cannot_be_written_are_counted_as_logs(
    path: Path, logs: LogWriter, losses: Losses
) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (id)")
    logs.accept([record(), record()])
    assert logs.file.problem is not None
    assert losses.counts == {("logs", "store_error"): 2}


def test_all_that_wait_are_lost_when_another_signal_finds_the_store_unusable(
    path: Path, spans: StoreWriter, logs: LogWriter, losses: Losses
) -> None:
    logs.spill([record()])
    spans.file.problem = "it is off"
    assert logs.poll(time.monotonic()) is None
    assert losses.counts == {("logs", "store_error"): 1}


def make_version_1(path: Path) -> None:
    """Take from a store what version 1 didn't have."""
    with closing(sqlite3.connect(path)) as connection:
        for view in (log_schema.VIEW, metric_schema.VIEW):
            connection.execute(f"DROP VIEW {view}_1")
        for table in (*log_schema.TABLES, *metric_schema.TABLES):
            connection.execute(f"DROP TABLE {table}_1")
        connection.execute("UPDATE slice SET version = 1")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()


def test_a_file_of_version_1_moves_forward_and_keeps_its_spans(
    path: Path, spans: StoreWriter, logs: LogWriter, losses: Losses
) -> None:
    source = SpanSource()
    source.request()
    spans.accept(source.take())
    spans.release()
    make_version_1(path)
    logs.accept([record()])
    source.request()
    spans.accept(source.take())
    spans.release()
    assert losses.counts == {}
    assert query(path, "PRAGMA user_version") == [(schema.VERSION,)]
    assert query(path, "SELECT id, version FROM slice") == [(1, 1), (2, schema.VERSION)]
    assert query(path, "SELECT count(*) FROM span_1") == [(3,)]
    assert query(path, "SELECT count(*) FROM log_2") == [(1,)]
