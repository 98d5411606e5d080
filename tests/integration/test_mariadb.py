"""Database spans on a real MariaDB, with PyMySQL standing in for mysqlclient where that isn't."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest
from asgiref.sync import async_to_sync
from django.db import IntegrityError, OperationalError, ProgrammingError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from otel_django.testing import Captured, capture
from tests.integration.servers import Server
from tests.site.databases import database_alias
from tests.site.models import Author, Book

SECRET = "s3cr3tv4lu3"
SETTINGS = {"ENGINE": "django.db.backends.mysql", "NAME": "test", "USER": "root"}


@pytest.fixture(autouse=True, scope="module")
def driver() -> None:
    try:
        importlib.import_module("MySQLdb")
    except ImportError:
        import pymysql

        pymysql.version_info = (2, 2, 8, "final", 0)  # what Django asks of mysqlclient
        pymysql.install_as_MySQLdb()
    assert "MySQLdb" in sys.modules


def alias(server: Server, **changes: object) -> AbstractContextManager[BaseDatabaseWrapper]:
    settings = {**SETTINGS, "HOST": server.host, "PORT": server.port, **changes}
    return database_alias("maria", **settings)


@pytest.fixture
def maria(mariadb: Server) -> Iterator[BaseDatabaseWrapper]:
    with alias(mariadb) as connection:
        with connection.schema_editor() as editor:
            editor.create_model(Author)
            editor.create_model(Book)
        yield connection
        connection.rollback()
        with connection.schema_editor() as editor:
            editor.delete_model(Book)
            editor.delete_model(Author)


def names_of(captured: Captured) -> list[str]:
    return [span.name for span in captured.spans]


def test_a_query_says_where_it_went(maria: BaseDatabaseWrapper, mariadb: Server) -> None:
    with capture() as captured:
        list(Author.objects.using("maria").filter(name=SECRET))
    attributes = dict(captured.one("SELECT test_site_author").attributes)
    assert "`test_site_author`.`name` = %s" in attributes.pop("db.query.text")
    assert attributes == {
        "db.system.name": "mariadb",
        "db.namespace": "test",
        "server.address": "127.0.0.1",
        "server.port": mariadb.port,
        "django.db.alias": "maria",
        "db.operation.name": "SELECT",
        "db.collection.name": "test_site_author",
        "db.query.summary": "SELECT test_site_author",
    }


def test_connect_has_a_span_with_its_own_queries_below(mariadb: Server) -> None:
    with alias(mariadb) as connection, capture() as captured:
        connection.ensure_connection()
    (connect,) = captured.roots
    assert connect.name == "CONNECT"
    assert connect.attributes["db.system.name"] == "mariadb"
    assert all(child.name.startswith(("SET", "SELECT")) for child in connect.children)


def test_a_unix_socket_is_the_address(mariadb: Server) -> None:
    with alias(mariadb, HOST=mariadb.socket, PORT="") as connection, capture() as captured:
        connection.cursor().execute("SELECT 1")
    attributes = captured.queries[-1].attributes
    assert attributes["server.address"] == mariadb.socket
    assert "server.port" not in attributes


def test_transactions_and_savepoints(maria: BaseDatabaseWrapper) -> None:
    with capture() as captured:
        with transaction.atomic(using="maria"), transaction.atomic(using="maria"):
            Author.objects.using("maria").create(name="x")
        with pytest.raises(ZeroDivisionError), transaction.atomic(using="maria"):
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


def test_errors_hold_no_row_values(maria: BaseDatabaseWrapper) -> None:
    with maria.cursor() as cursor:
        cursor.execute("CREATE UNIQUE INDEX once ON test_site_author (name)")
    with capture() as captured:
        Author.objects.using("maria").create(name=SECRET)
        with pytest.raises(IntegrityError, match=SECRET):
            Author.objects.using("maria").create(name=SECRET)
        with pytest.raises(ProgrammingError), maria.cursor() as cursor:
            cursor.execute(f'SELEC "{SECRET}" FROM nowhere')
    duplicate, broken = captured.spans[-2:]
    assert duplicate.attributes["error.type"] == "django.db.utils.IntegrityError"
    assert duplicate.attributes["db.response.status_code"] == "1062"
    assert broken.attributes["db.response.status_code"] == "1064"
    assert SECRET not in repr(captured.spans)


def test_a_wrong_password_is_an_error_without_it(mariadb: Server) -> None:
    refused = alias(mariadb, PASSWORD=SECRET)
    with refused as connection, capture() as captured, pytest.raises(OperationalError):
        connection.ensure_connection()
    (span,) = captured.spans
    assert span.status == "ERROR"
    assert span.attributes["db.response.status_code"] == "1045"
    assert SECRET not in repr(span)


def test_executemany_and_callproc(maria: BaseDatabaseWrapper) -> None:
    with maria.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE PROCEDURE shout(t TEXT) SELECT UPPER(t)")
    with capture() as captured, maria.cursor() as cursor:
        cursor.executemany("INSERT INTO test_site_author (name) VALUES (%s)", [("a",), ("b",)])
        cursor.callproc("shout", [SECRET])
        assert cursor.fetchone() == (SECRET.upper(),)
    assert names_of(captured) == ["BATCH INSERT test_site_author", "CALL shout"]
    assert captured.spans[0].attributes["db.operation.batch.size"] == 2
    assert SECRET not in repr(captured.spans)


def test_unbuffered_cursors_are_covered(mariadb: Server) -> None:
    cursors = importlib.import_module("MySQLdb.cursors")
    with alias(mariadb, OPTIONS={"cursorclass": cursors.SSCursor}) as connection:
        connection.ensure_connection()
        with capture() as captured, connection.cursor() as cursor:
            cursor.execute("SELECT seq FROM seq_1_to_100000")
            assert len(cursor.fetchall()) == 100_000
    (span,) = captured.queries
    assert span.attributes["db.response.returned_rows"] == 100_000


def test_async_queries(maria: BaseDatabaseWrapper) -> None:
    async def use() -> int:
        await Author.objects.using("maria").acreate(name="x")
        return int(await Author.objects.using("maria").acount())

    with capture() as captured:
        assert async_to_sync(use)() == 1
    assert names_of(captured) == ["INSERT test_site_author", "SELECT test_site_author"]


def test_two_aliases_in_one_request(maria: BaseDatabaseWrapper, migrated: object) -> None:
    with capture() as captured:
        Author.objects.using("maria").count()
        Author.objects.count()
    systems = [
        (span.attributes["django.db.alias"], span.attributes["db.system.name"])
        for span in captured.queries
    ]
    assert systems == [("maria", "mariadb"), ("default", "sqlite")]
