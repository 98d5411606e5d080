"""Database spans with SQLite: what they say, what they cover, and what they leave unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorDebugWrapper, CursorWrapper
from django.test.utils import CaptureQueriesContext
from opentelemetry.trace import SpanKind

from otel_django import conf
from otel_django.bootstrap.process import Runtime
from otel_django.conf import Settings
from otel_django.instrumentation.database import DatabaseInstrumentation
from otel_django.instrumentation.sql import statements
from otel_django.testing import Captured, capture
from otel_django.tracing import current
from otel_django.tracing.span import Span
from tests.site.databases import database_alias
from tests.site.models import Author, Book
from tests.tracing_kit import Collected

pytestmark = pytest.mark.usefixtures("database")
SECRET = "s3cr3tv4lu3"


def names_of(captured: Captured) -> list[str]:
    return [span.name for span in captured.spans]


def test_a_query_says_what_it_was_and_where_it_went(migrated: Path) -> None:
    with capture() as captured:
        list(Author.objects.filter(name="x"))
    span = captured.one("SELECT test_site_author")
    assert span.kind == "CLIENT"
    assert span.status == "UNSET"
    assert span.attributes == {
        "db.system.name": "sqlite",
        "db.namespace": migrated.name,
        "django.db.alias": "default",
        "db.operation.name": "SELECT",
        "db.collection.name": "test_site_author",
        "db.query.summary": "SELECT test_site_author",
        "db.query.text": 'SELECT "test_site_author"."id", "test_site_author"."name" '
        'FROM "test_site_author" WHERE "test_site_author"."name" = %s',
        "db.response.returned_rows": 0,
    }


def test_a_query_is_a_child_of_the_current_span() -> None:
    from opentelemetry import trace

    with capture() as captured, trace.get_tracer("site").start_as_current_span("work"):
        Author.objects.count()
    (work,) = captured.roots
    assert [child.name for child in work.children] == ["SELECT test_site_author"]


def test_D3_nothing_is_built_or_read_where_nothing_records_or_measures() -> None:
    tracer = Collected("always_off").tracer
    instrumentation = DatabaseInstrumentation()
    instrumentation.install(tracer, _settings())
    known = statements("sqlite").held_characters()
    try:
        token = current.attach(tracer.begin_local_root("request", SpanKind.SERVER, {}))
        with connection.cursor() as cursor:
            cursor.execute("SELECT 'never seen before'")
            assert set(vars(cursor)) == {"cursor", "db"}
            cursor.fetchone()
        current.detach(token)
    finally:
        instrumentation.uninstall()
    assert connection.execute_wrappers == []
    assert statements("sqlite").held_characters() == known


def test_without_a_request_nothing_is_recorded() -> None:
    spans: list[Span] = []
    runtime = Runtime(_settings(), collect=spans.append)
    runtime.install()
    try:
        Author.objects.create(name="x")
    finally:
        runtime.uninstall()
    assert spans == []


# --- what else watches queries sees what it saw before


def test_the_debugging_cursor_makes_one_span_and_logs_as_before() -> None:
    with capture() as captured, CaptureQueriesContext(connection) as queries:
        Author.objects.create(name="x")
        list(Author.objects.all())
    assert len(captured.queries) == len(queries) == 2
    assert "'x'" in queries[0]["sql"]


def test_users_execute_wrappers_run_and_leave_as_before() -> None:
    seen: list[str] = []

    def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append(sql)
        return execute(sql, params, many, context)

    with capture() as captured:
        with connection.execute_wrapper(wrapper):
            Author.objects.count()
            assert connection.execute_wrappers == [wrapper]
        Author.objects.count()
    assert len(seen) == 1
    assert len(captured.queries) == 2
    assert connection.execute_wrappers == []


def _attributes(*classes: type) -> list[dict[str, Any]]:
    return [dict(vars(cls)) for cls in classes]


def test_uninstall_leaves_djangos_classes_as_they_were() -> None:
    classes = (CursorWrapper, CursorDebugWrapper, BaseDatabaseWrapper)
    before = _attributes(*classes)
    runtime = Runtime(_settings(), collect=_never)
    instrumentation = DatabaseInstrumentation()
    for _ in range(2):
        instrumentation.install(runtime.provider.tracer("test"), _settings())
        instrumentation.install(runtime.provider.tracer("test"), _settings())
        assert _attributes(*classes) != before
        DatabaseInstrumentation().uninstall()  # not the one that is installed
        assert _attributes(*classes) != before
        instrumentation.uninstall()
        instrumentation.uninstall()
        for cls, attributes in zip(classes, before, strict=True):
            assert vars(cls).keys() == attributes.keys()
            assert all(vars(cls)[name] is value for name, value in attributes.items())


def test_a_patch_on_top_of_ours_survives_uninstall(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime(_settings(), collect=_never)
    runtime.install()
    ours = CursorWrapper.execute
    calls: list[str] = []

    def theirs(self: CursorWrapper, sql: str, params: Any = None) -> Any:
        calls.append(sql)
        return ours(self, sql, params)

    monkeypatch.setattr(CursorWrapper, "execute", theirs)
    runtime.uninstall()
    try:
        Author.objects.count()
        assert len(calls) == 1
    finally:
        monkeypatch.setattr(CursorWrapper, "execute", ours.__wrapped__)  # type: ignore[attr-defined]
        monkeypatch.undo()
        CursorWrapper.execute = ours.__wrapped__  # type: ignore[attr-defined,method-assign]


def test_methods_that_the_driver_lacks_are_still_missing() -> None:
    with capture(), connection.cursor() as cursor:
        assert not hasattr(cursor, "copy")
        assert not hasattr(cursor, "copy_expert")
        assert not hasattr(CursorWrapper, "copy")


# --- calls


def test_executemany_tells_the_batch_size() -> None:
    sql = "INSERT INTO test_site_author (name) VALUES (%s)"
    with capture() as captured, connection.cursor() as cursor:
        cursor.executemany(sql, [("a",), ("b",), ("c",)])
        cursor.executemany(sql, [("d",)])
        cursor.executemany(sql, iter([("e",), ("f",)]))
    assert Author.objects.count() == 6
    batch, *others = captured.queries
    assert batch.name == "BATCH INSERT test_site_author"
    assert batch.attributes["db.operation.name"] == "BATCH INSERT"
    assert batch.attributes["db.operation.batch.size"] == 3
    assert [span.name for span in others] == ["INSERT test_site_author"] * 2
    assert all("db.operation.batch.size" not in span.attributes for span in others)


def test_transactions_and_savepoints() -> None:
    with capture() as captured:
        with transaction.atomic(), transaction.atomic():
            Author.objects.create(name="x")
        with transaction.atomic():
            with pytest.raises(ValueError, match="inner"), transaction.atomic():
                raise ValueError("inner")
            transaction.set_rollback(True)
    assert names_of(captured) == [
        "BEGIN",
        "SAVEPOINT",
        "INSERT test_site_author",
        "RELEASE SAVEPOINT",
        "COMMIT",
        "BEGIN",
        "SAVEPOINT",
        "ROLLBACK TO SAVEPOINT",
        "RELEASE SAVEPOINT",
        "ROLLBACK",
    ]
    assert len(captured.queries) == 1


def test_connect_has_a_span_and_aliases_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "s3cr3tv4lu3-folder" / "second.sqlite3"
    file.parent.mkdir()
    with database_alias("second", NAME=str(file)) as second, capture() as captured:
        with second.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchall()
        Author.objects.count()
    assert names_of(captured)[0] == "CONNECT"
    aliases = {
        (span.attributes["django.db.alias"], span.attributes["db.namespace"])
        for span in captured.queries
    }
    assert ("second", "second.sqlite3") in aliases
    assert "default" in {alias for alias, _ in aliases}
    assert SECRET not in repr(captured._spans[0]._attributes)


@pytest.mark.parametrize(
    ("name", "namespace"),
    [(":memory:", ":memory:"), ("file:shared%20one?mode=memory&cache=shared", "shared one")],
)
def test_databases_in_memory(name: str, namespace: str) -> None:
    with database_alias("memory", NAME=name) as memory, capture() as captured:
        memory.cursor().execute("SELECT 1")
    assert captured.queries[-1].attributes["db.namespace"] == namespace


# --- errors


def test_an_error_tells_type_and_code_but_no_values() -> None:
    author = Author.objects.create(name="x")
    with capture() as captured, pytest.raises(IntegrityError):
        Author.objects.create(id=author.id, name=SECRET)
    span = captured.one("INSERT test_site_author")
    assert span.status == "ERROR"
    assert span.status_description is None
    assert span.attributes["error.type"] == "django.db.utils.IntegrityError"
    assert span.attributes.get("db.response.status_code") in (None, "SQLITE_CONSTRAINT_PRIMARYKEY")
    assert SECRET not in repr(span)


def test_broken_sql_with_values_in_it_leaks_nothing() -> None:
    with capture() as captured, connection.cursor() as cursor, pytest.raises(DatabaseError):
        cursor.execute(f"SELEC '{SECRET}' FROM nowhere WHERE a = '{SECRET}")
    (span,) = captured.spans
    assert span.status == "ERROR"
    assert SECRET not in repr(span)


# --- limits


def test_attribute_limits_hold() -> None:
    spans: list[Span] = []
    limits = conf.SpanLimitSettings(attributes=6, value_length=12)
    runtime = Runtime(_settings(span_limits=limits), collect=spans.append)
    runtime.install()
    root = runtime.provider.tracer("test").begin_local_root("request", SpanKind.SERVER, {})
    token = current.attach(root)
    try:
        Author.objects.count()
    finally:
        current.detach(token)
        runtime.uninstall()
    (span,) = spans
    assert len(span._attributes) <= 7  # returned_rows comes later
    assert all(len(value) <= 12 for value in span._attributes.values() if isinstance(value, str))
    assert span.dropped_attributes == 1


def _settings(**changes: Any) -> Settings:
    return Settings(strict=True, **changes)


def _never(span: Span) -> None:
    raise AssertionError(f"recorded {span}")


@pytest.fixture(autouse=True)
def books() -> Iterator[None]:
    yield
    Book.objects.all().delete()
