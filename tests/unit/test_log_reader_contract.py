"""What every reader of logs must do, whatever it reads from."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otel_django import log_record
from otel_django.backends.embedded_logs import EmbeddedLogReader
from otel_django.contracts import LogPage, LogQuery, LogReader
from otel_django.errors import ReadError
from otel_django.log_record import LogRecord
from otel_django.store.writer import LogWriter, StoreWriter
from tests.store_logs import record
from tests.store_spans import Losses, store_path

SECOND = 10**9
HOUR_AGO = time.time_ns() - 3_600 * SECOND
TRACE = (0xABCD << 112) | 0xF000_0000_0000_0001


class Backend:
    """A place to put records, and a reader of it.

    ``has_types``: attributes aren't all text. ``settled_s``: it tells of records so long after.
    """

    def __init__(
        self,
        put: Callable[[list[LogRecord]], None],
        reader: LogReader,
        *,
        has_types: bool = True,
        settled_s: float = 0,
    ) -> None:
        self.put = put
        self.reader = reader
        self.has_types = has_types
        self.settled_s = settled_s


def embedded(folder: Path, *, fts: bool | None = None) -> Backend:
    path = store_path(folder)

    def put(records: list[LogRecord]) -> None:
        losses = Losses()
        store = StoreWriter(path, retention_hours=24, max_mb=64, drops=losses, fts=fts)
        writer = LogWriter(store.file, drops=losses)
        writer.accept(records)
        writer.close(time.monotonic() + 1)
        assert losses.counts == {}

    return Backend(put, EmbeddedLogReader(path))


def embedded_without_fts(folder: Path) -> Backend:
    return embedded(folder, fts=False)


BACKENDS = {"embedded": embedded, "embedded without FTS5": embedded_without_fts}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    return BACKENDS[request.param](tmp_path)


@pytest.fixture
def records(backend: Backend) -> list[LogRecord]:
    """Five records, a second apart."""
    made = [
        record(
            "request.finished", time_ns=HOUR_AGO, logger="django", status=200, http__route="/a/"
        ),
        record(
            "order.placed",
            time_ns=HOUR_AGO + SECOND,
            named=True,
            trace_id=TRACE,
            span_id=0xFFFF_0000_0000_0001,
            order=17,
            paid=True,
            total=12.5,
        ),
        record("Card was refused: 200 EUR", level="warning", time_ns=HOUR_AGO + 2 * SECOND),
        record(
            "mail.failed",
            level="error",
            time_ns=HOUR_AGO + 3 * SECOND,
            service="mail",
            trace_id=TRACE,
            body="No route to host smtp.example",
        ),
        record("looking", level="debug", time_ns=HOUR_AGO + 4 * SECOND, logger="shop", status=404),
    ]
    backend.put(made)
    return made


def found(backend: Backend, records: list[LogRecord], **conditions: Any) -> list[int]:
    page = backend.reader.list_logs(LogQuery(**conditions))
    assert page.partial == ""
    times = [each.time_ns for each in records]
    return [times.index(row.time_ns) for row in page.rows]


def events(page: LogPage) -> list[str]:
    return [row.event for row in page.rows]


def test_an_empty_backend_has_nothing_to_show(backend: Backend) -> None:
    assert backend.reader.list_logs(LogQuery()) == LogPage(())
    assert backend.reader.logs_since(None).rows == ()


def test_the_list_is_newest_first_with_all_that_was_logged(
    backend: Backend, records: list[LogRecord]
) -> None:
    page = backend.reader.list_logs(LogQuery())
    assert [row.time_ns for row in page.rows] == [each.time_ns for each in reversed(records)]
    assert page.cursor is None
    failed, placed = page.rows[1], page.rows[3]
    assert (placed.severity_number, placed.level) == (log_record.INFO, "info")
    assert (placed.event, placed.named, placed.body) == ("order.placed", True, None)
    assert (placed.logger, placed.service) == ("shop.orders", "shop")
    assert placed.trace_id == format(TRACE, "032x")
    assert placed.span_id == "ffff000000000001"
    typed = {"order": 17, "paid": True, "total": 12.5}
    told = {"order": "17", "paid": "true", "total": "12.5"}
    assert placed.attributes == (typed if backend.has_types else told)
    assert placed.resource["host.name"] == "test"
    assert (failed.event, failed.body) == ("mail.failed", "No route to host smtp.example")
    assert (page.rows[0].trace_id, page.rows[0].span_id) == ("", "")


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"service": "shop"}, [4, 2, 1, 0]),
        ({"service": "nobody"}, []),
        ({"min_severity": log_record.INFO}, [3, 2, 1, 0]),
        ({"min_severity": log_record.WARN}, [3, 2]),
        ({"min_severity": log_record.ERROR}, [3]),
        ({"min_severity": log_record.FATAL}, []),
        ({"logger": "django"}, [0]),
        ({"logger": "shop"}, [4]),
        ({"logger": "shop.*"}, [3, 2, 1]),
        ({"logger": "shop.or*", "text": "refused"}, [2]),
        ({"logger": "shop*", "min_severity": log_record.ERROR}, [3]),
        ({"logger": "op*"}, []),
        ({"logger": "d*"}, [0]),
        ({"event": "order.placed"}, [1]),
        ({"event": "order"}, []),
        ({"event": "Card was refused: 200 EUR"}, [2]),
        ({"event": "Card was refused: 200 eur"}, []),
        ({"trace_id": format(TRACE, "032x")}, [3, 1]),
        ({"trace_id": format(TRACE, "032x"), "text": "route"}, [3]),
        ({"trace_id": format(TRACE, "032x"), "attributes": {"order": 17}}, [1]),
        ({"trace_id": "0" * 31 + "1"}, []),
        ({"trace_id": "no id"}, []),
        ({"attributes": {"status": 200}}, [0]),
        ({"attributes": {"status": "404"}}, [4]),
        ({"attributes": {"paid": True}}, [1]),
        ({"attributes": {"paid": "true"}}, [1]),
        ({"attributes": {"paid": "True"}}, [1]),
        ({"attributes": {"paid": False}}, []),
        ({"attributes": {"total": "12.5"}}, [1]),
        ({"attributes": {"http.route": "/a/"}}, [0]),
        ({"attributes": {"http.route": "/"}}, []),
        ({"attributes": {"nothing": "of it"}}, []),
        ({"text": "refused"}, [2]),
        ({"text": "REFUSED card"}, [2]),
        ({"text": "200"}, [2, 0]),
        ({"text": "200", "min_severity": log_record.WARN}, [2]),
        ({"text": "200", "logger": "django"}, [0]),
        ({"text": "smtp.example"}, [3]),
        ({"text": "plac*"}, [1]),
        ({"text": "placed refused"}, []),
        ({"text": '"quotes" (and) OR * -x NEAR'}, []),
        ({"since_ns": HOUR_AGO + 3 * SECOND}, [4, 3]),
        ({"until_ns": HOUR_AGO + SECOND}, [1, 0]),
        ({"since_ns": HOUR_AGO + SECOND, "until_ns": HOUR_AGO + SECOND}, [1]),
        ({"text": "200", "until_ns": HOUR_AGO + SECOND}, [0]),
        ({"text": "200", "since_ns": HOUR_AGO + SECOND}, [2]),
    ],
)
def test_conditions_choose(
    backend: Backend, records: list[LogRecord], conditions: dict[str, Any], expected: list[int]
) -> None:
    assert found(backend, records, **conditions) == expected


@pytest.mark.parametrize(
    "conditions",
    [{}, {"text": "page"}, {"service": "shop"}, {"min_severity": 13}, {"attributes": {"ok": True}}],
)
def test_pages_follow_one_another_without_gap_or_repeat(
    backend: Backend, conditions: dict[str, Any]
) -> None:
    times = [HOUR_AGO + (index // 3) * SECOND for index in range(25)]
    backend.put(
        [
            record(f"page {index}", level="warning", time_ns=time_ns, ok=True)
            for index, time_ns in enumerate(times)
        ]
    )
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(10):
        page = backend.reader.list_logs(LogQuery(limit=4, cursor=cursor, **conditions))
        seen += events(page)
        cursor = page.cursor
        if cursor is None:
            break
    assert cursor is None
    assert sorted(seen) == sorted(f"page {index}" for index in range(25))


def test_records_that_came_late_stand_where_their_time_is(backend: Backend) -> None:
    for offset in (5, 1, 3):
        backend.put([record(f"late {offset}", time_ns=HOUR_AGO + offset * SECOND)])
    assert events(backend.reader.list_logs(LogQuery())) == ["late 5", "late 3", "late 1"]
    by_word = backend.reader.list_logs(LogQuery(text="late", limit=2))
    assert events(by_word) == ["late 5", "late 3"]


def test_words_find_records_that_came_late_beside_very_many_that_did_not(backend: Backend) -> None:
    backend.put([record("request.ended", time_ns=HOUR_AGO + n * SECOND) for n in range(400)])
    backend.put([record("order.delayed", time_ns=HOUR_AGO + 50 * SECOND)])
    for until_ns in (HOUR_AGO + 300 * SECOND, HOUR_AGO + 500 * SECOND):
        query = LogQuery(text="delayed", since_ns=HOUR_AGO, until_ns=until_ns)
        assert events(backend.reader.list_logs(query)) == ["order.delayed"]


def test_what_arrives_can_be_followed(backend: Backend, records: list[LogRecord]) -> None:
    begin = backend.reader.logs_since(None)
    assert begin.rows == ()
    assert backend.reader.logs_since(begin.cursor).rows == ()
    backend.put([record("one"), record("two")])
    time.sleep(backend.settled_s)
    first = backend.reader.logs_since(begin.cursor, limit=1)
    second = backend.reader.logs_since(first.cursor)
    assert events(first) + events(second) == ["one", "two"]
    assert backend.reader.logs_since(second.cursor).rows == ()


def test_a_record_is_shown_among_its_neighbours_of_the_same_service(backend: Backend) -> None:
    backend.put(
        [
            record(f"{service} {index}", time_ns=HOUR_AGO + index * SECOND, service=service)
            for index in range(6)
            for service in ("shop", "mail")
        ]
    )
    (row,) = backend.reader.list_logs(LogQuery(event="shop 3")).rows
    around = backend.reader.logs_around(row.key, before=2, after=1)
    assert events(around) == ["shop 1", "shop 2", "shop 3", "shop 4"]
    assert around.partial == ""


def test_a_record_that_is_gone_is_said(backend: Backend, records: list[LogRecord]) -> None:
    row = backend.reader.list_logs(LogQuery()).rows[0]
    gone = backend.reader.logs_around(f"{row.key}0")
    assert (gone.rows, gone.partial) == ((), "the record is no longer kept")


def test_a_strangers_cursor_is_refused(backend: Backend, records: list[LogRecord]) -> None:
    with pytest.raises(ReadError):
        backend.reader.list_logs(LogQuery(cursor="1 OR 1=1"))
    with pytest.raises(ReadError):
        backend.reader.logs_since("last")
    with pytest.raises(ReadError):
        backend.reader.logs_around("x")
