"""A store as a site has it after a week: spans, log records, exceptions, metrics."""

from __future__ import annotations

import heapq
import json
import sqlite3
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import store, store_logs

if TYPE_CHECKING:
    from otel_django.log_record import LogRecord
    from otel_django.metric_points import Metric

WEEK_NS = 7 * 86_400 * 10**9
MINUTE_NS = 60 * 10**9
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BUSY_SHARE = 10
"""One series in ten has a point a minute, the others one in five."""
FINE_NS = 3_600 * 10**9


class Clock:
    """The time at which a batch is written, so that slices begin all over the week."""

    def __init__(self, now_ns: int) -> None:
        self.ns = now_ns

    def now_ns(self) -> int:
        """As ``clock.Clock``."""
        return self.ns

    def monotonic_s(self) -> float:
        """As ``clock.Clock``."""
        return self.ns / 1e9


def fill(path: Path, spans: int, logs: int, series: int) -> None:
    """Make the store at ``path``, which ends now."""
    from otel_django.metric_points import ResourceMetrics
    from otel_django.store.metric_writer import MetricWriter
    from otel_django.store.writer import LogWriter, StoreWriter
    from tests.store_spans import SpanSource

    end_ns = time.time_ns()
    clock = Clock(end_ns - WEEK_NS)
    drops = store.NoLosses()
    writer = StoreWriter(path, retention_hours=200, max_mb=16_384, drops=drops, clock=clock)
    log_writer = LogWriter(writer.file, drops=drops, clock=clock)
    metrics = MetricWriter(writer.file, drops=drops, clock=clock)
    generation = -1
    began = time.monotonic()
    batches = heapq.merge(
        ((_span_time(batch), 0, batch) for batch in _spans(SpanSource(), spans, end_ns)),
        ((batch[-1].time_ns, 1, batch) for batch in _logs(logs, end_ns)),
        key=lambda item: item[:2],
    )
    for number, (time_ns, kind, batch) in enumerate(batches):
        clock.ns = max(clock.ns, time_ns)
        (log_writer if kind else writer).accept(batch)
        slice_generation = writer.file.target().generation
        if slice_generation != generation:
            generation = slice_generation
            made = tuple(_metrics(series, clock.ns))
            metrics._last.clear()
            metrics.take([ResourceMetrics(_RESOURCE, made)])
        if number % 400 == 0:
            day = (clock.ns - end_ns + WEEK_NS) / 86_400e9
            print(f"  day {day:.1f}, {time.monotonic() - began:.0f} s", file=sys.stderr)
    _long_trace(writer, SpanSource(), end_ns)
    for each in (metrics, log_writer, writer):
        each.close(time.monotonic() + 60)
    _spread_points(path, end_ns)


_RESOURCE = {"service.name": "shop", "service.instance.id": "host/shop/web"}


def _span_time(batch: list[Any]) -> int:
    return int(batch[-1]._end_time)


def _spans(source: Any, spans: int, end_ns: int) -> Iterator[list[Any]]:
    return store.batches(source, spans, end_ns - MINUTE_NS, WEEK_NS)


def _logs(logs: int, end_ns: int) -> Iterator[list[LogRecord]]:
    """Those of ``store_logs``, whose errors tell of exceptions of forty kinds."""
    from otel_django import log_record, names

    for batch in store_logs.batches(logs, end_ns - MINUTE_NS, WEEK_NS):
        for record in batch:
            if record.severity_number >= log_record.ERROR:
                kind = record.span_id // 500 % 40
                record.attributes = {
                    **record.attributes,
                    names.EXCEPTION_TYPE: f"shop.errors.Refused{kind}",
                    names.EXCEPTION_MESSAGE: f"order {record.span_id} was refused",
                    names.EXCEPTION_STACKTRACE: "Traceback (most recent call last):\n"
                    f'  File "shop/part{kind}.py", line {kind + 10}, in pay\n    charge()\n'
                    f"shop.errors.Refused{kind}: order was refused\n",
                }
        yield batch


_Told = tuple[str, int, tuple[tuple[str, int], ...]]
"""A metric's name, its share of 2,000 series, its labels with how many values each has."""


def _metrics(series: int, now_ns: int) -> Iterator[Metric]:
    """What a site of forty routes and twenty tasks has, of every 2,000 series."""
    from otel_django import metric_definitions as known
    from otel_django import names
    from otel_django.metric_points import HistogramPoint, Metric, NumberPoint

    start_ns = now_ns - MINUTE_NS
    counts = tuple(range(1, len(BOUNDS) + 2))
    route, task = (names.HTTP_ROUTE, 40), (names.CELERY_TASK_NAME, 20)
    histograms: tuple[_Told, ...] = (
        (
            known.HTTP_SERVER_REQUEST_DURATION.name,
            200,
            (route, (names.HTTP_RESPONSE_STATUS_CODE, 5)),
        ),
        (known.DB_CLIENT_OPERATION_DURATION.name, 150, ((names.DB_COLLECTION_NAME, 40),)),
        (known.DJANGO_REQUEST_DB_QUERIES.name, 100, (route,)),
        (known.MESSAGING_PROCESS_DURATION.name, 50, (task,)),
        (known.CELERY_TASK_QUEUE_WAIT.name, 50, (task,)),
    )
    for name, share, labels in histograms:
        points = [
            HistogramPoint(tuple(_labels(labels, index)), counts, 4.2, start_ns, now_ns)
            for index in range(series * share // 2_000)
        ]
        yield Metric(name, "s", "How long it took.", "histogram", tuple(points), BOUNDS)
    alias, result = (names.DJANGO_CACHE_ALIAS, 2), (names.DJANGO_CACHE_RESULT, 5)
    kind = ("kind", 100)
    counters: tuple[_Told, ...] = (
        (known.DJANGO_CACHE_OPERATIONS.name, 150, (alias, result)),
        (known.CELERY_TASK_EXECUTIONS.name, 100, (task, (names.CELERY_TASK_STATE, 5))),
        *((f"shop.things{number}", 10, (kind,)) for number in range(20)),
        *((f"django.more{number}", 100, (kind,)) for number in range(10)),
    )
    for name, share, labels in counters:
        labelled = [
            NumberPoint(tuple(_labels(labels, index)), index, start_ns, now_ns)
            for index in range(series * share // 2_000)
        ]
        yield Metric(name, "{thing}", "Things.", "counter", tuple(labelled))


def _labels(labels: Iterable[tuple[str, int]], index: int) -> list[tuple[str, str]]:
    """Another set for each index; what is left of it tells instances apart."""
    found = []
    for name, values in labels:
        index, value = divmod(index, values)
        found.append((name, f"{name}{value}"))
    return sorted([*found, ("part", str(index))])


def _spread_points(path: Path, end_ns: int) -> None:
    """Points of the whole week, as the writer would have left them, out of each slice's first."""
    from otel_django.store.metric_schema import LENGTHS

    first_minute = (end_ns - WEEK_NS) // MINUTE_NS

    def grown(data: str | None, minute: int) -> str | None:
        """A histogram's data after so many minutes."""
        if data is None:
            return None
        exemplars, total, low, high, counts = json.loads(data)
        more = max(minute - first_minute, 0)
        counts = [count + more * index for index, count in enumerate(counts)]
        return json.dumps([exemplars, total + more, low, high, counts], separators=(",", ":"))

    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.create_function("grown", 2, grown, deterministic=True)
        slices = connection.execute("SELECT id, started_ns FROM slice ORDER BY id").fetchall()
        ends = [*(started for _, started in slices[1:]), end_ns]
        for (number, started_ns), until_ns in zip(slices, ends, strict=True):
            older = (started_ns, min(until_ns, end_ns - FINE_NS))
            for table, (first, last), each in (
                *((table, older, length) for table, length in LENGTHS.items()),
                ("point", (max(started_ns, end_ns - FINE_NS), until_ns), 1),
            ):
                # Of longer times the last minute.
                last_minute = f"max(at.minute, min((at.minute / {each} + 1) * {each} - 1, :last))"
                minute = "" if table == "point" else f"at.minute / {each} * {each}, "
                connection.execute(
                    f"""
                    WITH RECURSIVE at(minute) AS (
                        SELECT :first UNION ALL SELECT minute + :each FROM at
                        WHERE minute + :each <= :last
                    ), one AS MATERIALIZED (
                        SELECT row_number() OVER () AS place, * FROM first_point
                    )
                    INSERT OR IGNORE INTO {table}_{number}
                    SELECT {minute} metric, series, {last_minute} * {MINUTE_NS} + 1, start_ns,
                        value + {last_minute}, grown(data, {last_minute}) FROM at, one
                    WHERE one.place % {BUSY_SHARE} = 0 OR (one.place + at.minute) % 5 = 0
                        OR :each > 1
                    """.replace("first_point", f"point_{number}"),
                    {"first": first // MINUTE_NS, "last": last // MINUTE_NS, "each": each},
                )
            connection.execute(f"DELETE FROM point_{number} WHERE time_ns < ?", (end_ns - FINE_NS,))


def _long_trace(writer: Any, source: Any, end_ns: int) -> None:
    """One with 20,000 spans."""
    source.request("/import/", start=end_ns - MINUTE_NS, duration_ms=30_000, queries=19_999)
    spans = source.take()
    for first in range(0, len(spans), store.BATCH):
        writer.accept(spans[first : first + store.BATCH])
