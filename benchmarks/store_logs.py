"""Logs in the embedded store: records written a second, and how long pages wait for a million."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_django.log_record import LogRecord

BATCH = 512
RANGE_NS = 6 * 3600 * 10**9


def batches(records: int, end_ns: int, range_ns: int = RANGE_NS) -> Iterator[list[LogRecord]]:
    """What a site logs: a line a request, messages with numbers; 1 in 100 warns, 1 in 500 fails."""
    from tests.store_logs import record

    waiting: list[LogRecord] = []
    for index in range(records):
        at: dict[str, Any] = {
            "time_ns": end_ns - range_ns + range_ns * index // records,
            "trace_id": index // 3 << 70 | index // 3 + 1,
            "span_id": index + 1,
        }
        if index % 500 == 7:
            made = record(
                "payment.failed", level="error", logger="shop.pay", named=True, order=index, **at
            )
        elif index % 100 == 9:
            made = record(f"Stock of product {index % 977} is low", level="warning", **at)
        elif index % 3 == 0:
            made = record(f"Order {index} placed", logger=f"shop.part{index % 20}", **at)
        else:
            made = record(
                "request.finished",
                logger="otel_django",
                named=True,
                http__route=f"/shop/section{index % 40}/<int:pk>/",
                status=200 if index % 50 else 404,
                duration_ms=index % 97 / 7,
                request_id=f"{index * 2654435761 % 2**64:016x}",
                **at,
            )
        waiting.append(made)
        if len(waiting) == BATCH:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def fill(path: Path, drops: Any, records: int) -> float:
    """Write logs to a store; records a second."""
    from otel_django.store.writer import LogWriter, StoreWriter

    store = StoreWriter(path, retention_hours=24, max_mb=4096, drops=drops)
    writer = LogWriter(store.file, drops=drops)
    spent = 0.0
    for batch in batches(records, time.time_ns()):
        began = time.perf_counter()
        writer.accept(batch)
        spent += time.perf_counter() - began
    writer.close(time.monotonic() + 60)
    return records / spent


def questions(path: Path, records: int) -> dict[str, Callable[[], object]]:
    """What pages ask."""
    from otel_django import log_record
    from otel_django.backends.embedded_logs import EmbeddedLogReader
    from otel_django.contracts import LogQuery

    reader = EmbeddedLogReader(path)
    now = time.time_ns()
    hour = 3600 * 10**9
    first = reader.list_logs(LogQuery())
    row = reader.list_logs(LogQuery(until_ns=now - 3 * hour, limit=1)).rows[0]
    half = records // 2 // 3 * 3
    request_id = f"{half * 2654435761 % 2**64:016x}"
    asked = {
        "logs": LogQuery(),
        "logs, next page": LogQuery(cursor=first.cursor),
        "logs, an hour": LogQuery(since_ns=now - 4 * hour, until_ns=now - 3 * hour),
        "logs, errors": LogQuery(min_severity=log_record.ERROR),
        "logs, fatal: none": LogQuery(min_severity=log_record.FATAL),
        "logs by logger": LogQuery(logger="shop.part3"),
        "logs by logger, none": LogQuery(logger="nobody"),
        "logs by service, none": LogQuery(service="nobody"),
        "logs by event": LogQuery(event="payment.failed"),
        "logs by event, common": LogQuery(event="request.finished"),
        "logs by event, one": LogQuery(event=f"Order {half} placed"),
        "logs of a trace": LogQuery(trace_id=row.trace_id),
        "logs, words, rare": LogQuery(text=str(half)),
        "logs, words, common": LogQuery(text="shop section7"),
        "logs, words, all": LogQuery(text="request"),
        "logs, words and errors": LogQuery(text="payment", min_severity=log_record.ERROR),
        "logs, words, an old hour": LogQuery(
            text="finished", since_ns=now - 4 * hour, until_ns=now - 3 * hour
        ),
        "logs, word's beginning": LogQuery(text="sect*"),
        "logs, request id": LogQuery(attributes={"request_id": request_id}),
        "logs, status 404": LogQuery(attributes={"status": 404}),
    }
    return {
        **{name: partial(reader.list_logs, query) for name, query in asked.items()},
        "logs around": partial(reader.logs_around, row.key),
        "new logs": lambda: reader.logs_since(reader.logs_since(None).cursor),
    }
