"""Database spans with SQLite: fetching as part of a query, and the line of code that ran it."""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import DatabaseError, connection
from django.db.backends.utils import CursorWrapper

from otel_django.bootstrap.process import Runtime
from otel_django.conf import Settings
from otel_django.testing import Captured, capture
from otel_django.tracing.span import Span
from tests.site.models import Author

pytestmark = pytest.mark.usefixtures("database")
ROWS, ROW_S = 20, 0.005
SLOW_ROWS = (
    f"WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < {ROWS}) "
    "SELECT pause(x) FROM n"
)


@pytest.fixture
def pause() -> None:
    """A function of SQL that takes its time for each row."""

    def pause(number: int) -> int:
        time.sleep(ROW_S)
        return number

    connection.ensure_connection()
    connection.connection.create_function("pause", 1, pause)


def names_of(captured: Captured) -> list[str]:
    return [span.name for span in captured.spans]


# --- fetching


def test_a_query_covers_its_fetches(pause: None) -> None:
    with capture() as captured, connection.cursor() as cursor:
        cursor.execute(SLOW_ROWS)
        assert len(cursor.fetchall()) == ROWS
    (span,) = captured.queries
    assert span.duration_s >= (ROWS - 1) * ROW_S
    assert span.attributes["db.response.returned_rows"] == ROWS


def test_an_iterator_tells_the_time_spent_fetching() -> None:
    Author.objects.bulk_create([Author(name=str(number)) for number in range(6)])
    with capture() as captured:
        for _author in Author.objects.iterator(chunk_size=2):
            time.sleep(0.01)
    span = captured.one("SELECT test_site_author")
    assert 0 < span.attributes["django.db.fetch.duration"] <= span.duration_s - 0.04
    assert span.attributes["django.db.fetch.count"] >= 4
    assert span.attributes["db.response.returned_rows"] == 6


def test_iterating_a_cursor_is_covered(pause: None) -> None:
    with capture() as captured, connection.cursor() as cursor:
        cursor.execute(SLOW_ROWS)
        assert sum(1 for _ in cursor) == ROWS
    (span,) = captured.queries
    assert span.duration_s >= (ROWS - 1) * ROW_S


def test_an_abandoned_iterator_ends_its_span() -> None:
    Author.objects.bulk_create([Author(name=str(number)) for number in range(6)])
    gc.disable()  # by reference count alone, as Django's cursors go
    try:
        with capture() as captured:
            rows = Author.objects.iterator(chunk_size=2)
            next(rows)
            cursor = connection.cursor()
            cursor.execute("SELECT 1")
            del rows, cursor
            assert len(captured.queries) == 2
    finally:
        gc.enable()


def test_a_cursor_used_again_makes_a_span_each_time() -> None:
    with capture() as captured, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
        cursor.execute("SELECT 2")
        assert cursor.fetchmany(5) == [(2,)]
        cursor.execute("CREATE TEMP TABLE passing (a int)")
    assert names_of(captured) == ["SELECT", "SELECT", "CREATE TABLE passing"]
    assert [span.attributes.get("db.response.returned_rows") for span in captured.spans] == [
        1,
        1,
        None,
    ]


def test_a_failing_fetch_fails_the_query() -> None:
    with capture() as captured, connection.cursor() as cursor:
        cursor.execute("SELECT abs(x) FROM (SELECT 1 AS x UNION ALL SELECT -9223372036854775808)")
        with pytest.raises(DatabaseError):
            cursor.fetchall()
    (span,) = captured.queries
    assert span.status == "ERROR"
    assert span.attributes["error.type"].startswith("django.db.utils.")


FAILS_WHEN_FETCHED = "SELECT abs(x) FROM (SELECT 1 AS x UNION ALL SELECT -9223372036854775808)"


def test_iterating_that_fails_fails_the_query() -> None:
    with capture() as captured, connection.cursor() as cursor:
        cursor.execute(FAILS_WHEN_FETCHED)
        with pytest.raises(DatabaseError):
            list(cursor)
    (span,) = captured.queries
    assert span.status == "ERROR"


@pytest.mark.parametrize("fetch", ["fetchall", "fetchmany"])
def test_a_failing_fetch_raises_djangos_error_where_nothing_records(fetch: str) -> None:
    runtime = Runtime(_settings(), collect=_never)
    runtime.install()
    try:
        with connection.cursor() as cursor:
            cursor.execute(FAILS_WHEN_FETCHED)
            with pytest.raises(DatabaseError) as raised:
                getattr(cursor, fetch)(*([5] if fetch == "fetchmany" else []))
    finally:
        runtime.uninstall()
    assert type(raised.value).__module__ == "django.db.utils"
    assert type(raised.value.__cause__).__module__ == "sqlite3"


def test_a_query_read_to_its_end_has_ended_before_the_cursor_is_closed() -> None:
    with capture() as captured, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchmany(100) == [(1,)]
        assert len(captured.queries) == 1
        cursor.execute("SELECT 1")
        assert cursor.fetchmany(1) == [(1,)]
        assert len(captured.queries) == 1
        assert cursor.fetchone() is None
        assert len(captured.queries) == 2


def test_another_librarys_fetch_method_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def theirs(self: CursorWrapper) -> Any:
        return [("theirs",)]

    monkeypatch.setattr(CursorWrapper, "fetchall", theirs, raising=False)
    with capture() as captured, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchall() == [("theirs",)]
    assert len(captured.queries) == 1


# --- the project's line


def _line_of(marker: str) -> int:
    lines = Path(__file__).read_text().splitlines()
    return 1 + next(number for number, line in enumerate(lines) if f"# {marker}" in line)


def test_a_slow_query_names_the_line_that_ran_it(pause: None) -> None:
    with capture(slow_query_s=ROWS * ROW_S / 2) as captured, connection.cursor() as cursor:
        cursor.execute(SLOW_ROWS)
        cursor.fetchall()  # slow line
    (slow,) = captured.queries
    assert slow.attributes["code.file.path"] == "tests/unit/test_database_fetch.py"
    assert slow.attributes["code.line.number"] == _line_of("slow line")
    assert "test_a_slow_query_names" in slow.attributes["code.function.name"]


def test_other_queries_name_no_line() -> None:
    with capture(slow_query_s=60.0) as captured:
        Author.objects.count()
    assert "code.line.number" not in captured.queries[0].attributes


def test_async_queries_are_recorded_and_name_the_awaiting_line() -> None:
    async def read() -> list[str]:
        author = await Author.objects.acreate(name="x")
        await Author.objects.aget(id=author.id)  # async line
        return [found.name async for found in Author.objects.all()]

    with capture(slow_query_s=0.0) as captured:
        assert async_to_sync(read)() == ["x"]
    names = names_of(captured)
    assert names == ["INSERT test_site_author", *["SELECT test_site_author"] * 2]
    assert captured.spans[1].attributes["code.line.number"] == _line_of("async line")
    assert captured.spans[1].attributes["code.file.path"] == "tests/unit/test_database_fetch.py"


def _settings(**changes: Any) -> Settings:
    return Settings(strict=True, **changes)


def _never(span: Span) -> None:
    raise AssertionError(f"recorded {span}")
