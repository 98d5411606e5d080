"""Database spans on a real PostgreSQL, with psycopg 3 and (see below) psycopg2."""

from __future__ import annotations

import gc
import io
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import DatabaseError, IntegrityError, OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test.utils import CaptureQueriesContext

from otel_django.testing import Captured, capture
from tests.integration.servers import Server
from tests.site.databases import database_alias
from tests.site.models import Author, Book

SECRET = "s3cr3tv4lu3"
SETTINGS = {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": "postgres",
    "USER": "postgres",
}


def alias(server: Server, **changes: object) -> AbstractContextManager[BaseDatabaseWrapper]:
    settings = {**SETTINGS, "HOST": server.host, "PORT": server.port, **changes}
    return database_alias("pg", **settings)


@pytest.fixture
def pg(postgresql: Server) -> Iterator[BaseDatabaseWrapper]:
    with alias(postgresql) as connection:
        with connection.schema_editor() as editor:
            editor.create_model(Author)
            editor.create_model(Book)
        yield connection
        connection.rollback()
        with connection.schema_editor() as editor:
            editor.delete_model(Book)
            editor.delete_model(Author)


def is_psycopg3() -> bool:
    from django.db.backends.postgresql.psycopg_any import is_psycopg3

    return bool(is_psycopg3)


def names_of(captured: Captured) -> list[str]:
    return [span.name for span in captured.spans]


def authors(count: int) -> None:
    Author.objects.using("pg").bulk_create([Author(name=f"a{number}") for number in range(count)])


def test_a_query_says_where_it_went(pg: BaseDatabaseWrapper, postgresql: Server) -> None:
    with capture() as captured:
        list(Author.objects.using("pg").filter(name=SECRET))
    attributes = dict(captured.one("SELECT test_site_author").attributes)
    assert SECRET not in attributes.pop("db.query.text")
    assert attributes == {
        "db.system.name": "postgresql",
        "db.namespace": "postgres",
        "server.address": "127.0.0.1",
        "server.port": postgresql.port,
        "django.db.alias": "pg",
        "db.operation.name": "SELECT",
        "db.collection.name": "test_site_author",
        "db.query.summary": "SELECT test_site_author",
    }


def test_connect_has_a_span_with_its_own_queries_below(postgresql: Server) -> None:
    with alias(postgresql) as connection, capture() as captured:
        connection.ensure_connection()
    (connect,) = captured.roots
    assert connect.name == "CONNECT"
    assert connect.attributes["server.port"] == postgresql.port
    assert connect.status == "UNSET"


def test_a_unix_socket_is_the_address(postgresql: Server) -> None:
    with alias(postgresql, HOST=postgresql.socket) as connection, capture() as captured:
        connection.cursor().execute("SELECT 1")
    attributes = captured.queries[-1].attributes
    assert attributes["server.address"] == postgresql.socket
    assert "server.port" not in attributes


def test_a_refused_connection_is_an_error(postgresql: Server) -> None:
    refused = alias(postgresql, PORT=1, PASSWORD=SECRET)
    with refused as connection, capture() as captured, pytest.raises(OperationalError):
        connection.ensure_connection()
    (span,) = captured.spans
    assert span.name == "CONNECT"
    assert span.status == "ERROR"
    assert span.attributes["error.type"].endswith("OperationalError")
    assert SECRET not in repr(span)


# --- D1: server-side cursors, COPY, values in errors


def test_D1_an_iterator_has_a_span_that_covers_its_fetches(pg: BaseDatabaseWrapper) -> None:
    authors(10)
    with capture() as captured, transaction.atomic(using="pg"):
        rows = Author.objects.using("pg").iterator(chunk_size=4)
        assert len(list(rows)) == 10
    span = captured.one("SELECT test_site_author")
    assert span.attributes["db.response.returned_rows"] == 10
    assert span.attributes["django.db.fetch.count"] >= 3
    assert span.attributes["django.db.fetch.duration"] > 0


def test_D1_the_time_of_fetching_is_told(pg: BaseDatabaseWrapper) -> None:
    sql = "SELECT x, pg_sleep(0.02) FROM generate_series(1, 10) x"
    in_transaction = transaction.atomic(using="pg")
    with capture(slow_query_s=0.15) as captured, in_transaction, pg.chunked_cursor() as cursor:
        cursor.execute(sql)
        while cursor.fetchmany(2):
            time.sleep(0.01)
    (span,) = captured.queries
    assert 0.2 <= span.attributes["django.db.fetch.duration"] <= span.duration_s - 0.04
    assert span.attributes["code.file.path"] == "tests/integration/test_postgresql.py"


def test_D1_an_abandoned_iterator_ends_its_span(pg: BaseDatabaseWrapper) -> None:
    authors(10)
    gc.disable()
    try:
        with capture() as captured:
            rows = Author.objects.using("pg").iterator(chunk_size=2)
            next(rows)
            del rows
            assert "SELECT test_site_author" in names_of(captured)
    finally:
        gc.enable()


def _copy_in(cursor: Any, sql: str, text: str) -> None:
    if is_psycopg3():
        with cursor.copy(sql) as copy:
            copy.write(text)
    else:
        cursor.copy_expert(sql, io.StringIO(text))


def _copy_out(cursor: Any, sql: str) -> str:
    if is_psycopg3():
        with cursor.copy(sql) as copy:
            return b"".join(bytes(part) for part in copy).decode()
    output = io.StringIO()
    cursor.copy_expert(sql, output)
    return output.getvalue()


@pytest.mark.parametrize("debug", [False, True])
def test_D1_copy_has_a_span(pg: BaseDatabaseWrapper, debug: bool) -> None:
    pg.force_debug_cursor = debug
    with capture() as captured, pg.cursor() as cursor:
        _copy_in(cursor, "COPY test_site_author (id, name) FROM STDIN", f"7\t{SECRET}\n")
        out = f"COPY (SELECT name FROM test_site_author WHERE name = '{SECRET}') TO STDOUT"
        assert _copy_out(cursor, out) == f"{SECRET}\n"
    pg.force_debug_cursor = False
    assert names_of(captured) == ["COPY test_site_author", "COPY SELECT test_site_author"]
    assert captured.spans[0].attributes["db.operation.name"] == "COPY"
    assert SECRET not in repr(captured.spans)


def test_D1_copy_by_table_name(pg: BaseDatabaseWrapper) -> None:
    if is_psycopg3():  # it has COPY statements only: there is nothing to miss
        with pg.cursor() as cursor:
            assert not hasattr(cursor, "copy_from")
        return
    with capture() as captured, pg.cursor() as cursor:
        cursor.copy_from(io.StringIO("7\tx\n"), "test_site_author", columns=("id", "name"))
        cursor.copy_to(io.StringIO(), "test_site_author")
    assert names_of(captured) == ["COPY test_site_author"] * 2


def test_D1_a_failing_copy_is_an_error(pg: BaseDatabaseWrapper) -> None:
    with capture() as captured, pg.cursor() as cursor, pytest.raises(Exception, match="bigint"):
        _copy_in(cursor, "COPY test_site_author (id, name) FROM STDIN", f"{SECRET}\tx\n")
    (span,) = captured.spans
    assert span.status == "ERROR"
    assert span.attributes["db.response.status_code"] == "22P02"
    assert SECRET not in repr(span)


def test_D1_errors_hold_no_row_values(pg: BaseDatabaseWrapper) -> None:
    Author.objects.using("pg").create(id=7, name="x")
    with pg.cursor() as cursor:
        cursor.execute("CREATE UNIQUE INDEX ON test_site_author (name)")
    with capture() as captured:
        Author.objects.using("pg").create(name=SECRET)
        with pytest.raises(IntegrityError, match=SECRET):
            Author.objects.using("pg").create(name=SECRET)
    failed = captured.spans[-1]
    assert failed.status == "ERROR"
    assert failed.status_description is None
    assert failed.attributes["error.type"] == "django.db.utils.IntegrityError"
    assert failed.attributes["db.response.status_code"] == "23505"
    assert failed.events == ()
    assert SECRET not in repr(captured.spans)


# --- the rest of the surface


def test_transactions_and_savepoints(pg: BaseDatabaseWrapper) -> None:
    with capture() as captured:
        with transaction.atomic(using="pg"), transaction.atomic(using="pg"):
            Author.objects.using("pg").create(name="x")
        with pytest.raises(ZeroDivisionError), transaction.atomic(using="pg"):
            raise ZeroDivisionError
    assert names_of(captured) == [
        "BEGIN",
        "SAVEPOINT",
        "INSERT test_site_author",
        "RELEASE SAVEPOINT",
        "COMMIT",
        "BEGIN",
        "ROLLBACK",
    ]


def test_a_commit_that_fails_is_an_error(pg: BaseDatabaseWrapper) -> None:
    with capture() as captured, pytest.raises(IntegrityError), transaction.atomic(using="pg"):
        Book.objects.using("pg").create(title=SECRET, author_id=999)
    assert names_of(captured)[-2:] == ["COMMIT", "ROLLBACK"]
    commit = captured.one("COMMIT")
    assert commit.status == "ERROR"
    assert commit.attributes["db.response.status_code"] == "23503"
    assert SECRET not in repr(captured.spans)


def test_executemany(pg: BaseDatabaseWrapper) -> None:
    with capture() as captured, pg.cursor() as cursor:
        cursor.executemany("INSERT INTO test_site_author (name) VALUES (%s)", [("a",), ("b",)])
    (span,) = captured.queries
    assert span.attributes["db.operation.batch.size"] == 2
    assert Author.objects.using("pg").count() == 2


def test_composed_sql_is_read_and_masked(pg: BaseDatabaseWrapper) -> None:
    from django.db.backends.postgresql.psycopg_any import sql

    statement = sql.SQL("SELECT {} FROM {} WHERE name = {}").format(
        sql.Identifier("id"), sql.Identifier("test_site_author"), sql.Literal(SECRET)
    )
    with capture() as captured, pg.cursor() as cursor:
        cursor.execute(statement)
        cursor.execute(b"SELECT 1 FROM test_site_author")
    assert names_of(captured) == ["SELECT test_site_author"] * 2
    assert captured.spans[0].attributes["db.query.text"].endswith("WHERE name = ?")
    assert SECRET not in repr(captured.spans)


def test_callproc(pg: BaseDatabaseWrapper) -> None:
    with capture() as captured, pg.cursor() as cursor:
        cursor.callproc("upper", [SECRET])
        assert cursor.fetchone() == (SECRET.upper(),)
    (span,) = captured.spans
    assert span.name == "CALL upper"
    assert span.attributes["db.stored_procedure.name"] == "upper"
    assert SECRET not in repr(span)


def test_async_queries(pg: BaseDatabaseWrapper) -> None:
    async def use() -> int:
        await Author.objects.using("pg").acreate(name="x")
        found = [author async for author in Author.objects.using("pg").aiterator(chunk_size=1)]
        return len(found)

    with capture() as captured:
        assert async_to_sync(use)() == 1
    assert names_of(captured) == ["INSERT test_site_author", "SELECT test_site_author"]


def test_the_debugging_cursor_makes_one_span(pg: BaseDatabaseWrapper) -> None:
    with capture() as captured, CaptureQueriesContext(pg) as queries:
        Author.objects.using("pg").count()
        with pytest.raises(DatabaseError):
            pg.cursor().execute("SELECT nothing FROM nowhere")
    assert len(captured.queries) == len(queries) == 2


def test_uninstall_leaves_the_backends_classes_as_they_were(pg: BaseDatabaseWrapper) -> None:
    from django.db.backends.postgresql import base

    classes: tuple[type, ...] = (base.CursorDebugWrapper, base.DatabaseWrapper)
    before = [dict(vars(cls)) for cls in classes]
    with capture():
        pg.close()
        Author.objects.using("pg").count()
        assert dict(vars(base.CursorDebugWrapper)) != before[0]
    for cls, attributes in zip(classes, before, strict=True):
        assert vars(cls).keys() == attributes.keys()
        assert all(vars(cls)[name] is value for name, value in attributes.items())
