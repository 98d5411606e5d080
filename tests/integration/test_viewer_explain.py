"""Plans of recorded statements from real servers."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, sleep
from typing import Any

import pytest
from django.db.backends.base.base import BaseDatabaseWrapper

from otel_django import names
from otel_django.contracts import SpanRow
from otel_django.testing import capture
from otel_django.viewer.explain import Plan, Unexplained, plan_of
from tests.integration.test_mariadb import driver, maria
from tests.integration.test_postgresql import pg
from tests.site.models import Author

__all__ = ["driver", "maria", "pg"]
Query = Callable[[str], object]
QUERIES: list[Query] = [
    lambda alias: list(Author.objects.using(alias).filter(name="x", id__in=[1, 2])[:21]),
    lambda alias: Author.objects.using(alias).filter(name__contains="x").count(),
    lambda alias: list(Author.objects.using(alias).order_by("name").values("name")[3:9]),
]


def row(attributes: dict[str, object]) -> SpanRow:
    return SpanRow(
        *("1" * 32, "2" * 16, None, True, "q", "client", "shop", 0, 1, "unset"),
        attributes=attributes,
    )


def plan(alias: str, query: Query) -> Plan:
    with capture() as captured:
        query(alias)
    [found] = [span for span in captured.spans if names.DB_QUERY_TEXT in dict(span.attributes)]
    return plan_of(row(dict(found.attributes)))


@pytest.mark.parametrize("query", QUERIES)
def test_postgresql_plans_what_django_asks_for(pg: BaseDatabaseWrapper, query: Query) -> None:
    found = plan(pg.alias, query)
    assert found.alias == "pg"
    assert "Scan" in " ".join(found.lines)


def test_postgresql_is_asked_where_nothing_can_be_written(pg: BaseDatabaseWrapper) -> None:
    with capture() as captured:
        list(Author.objects.using("pg").filter(name="x"))
    attributes = dict(captured.one("SELECT test_site_author").attributes)
    with pytest.raises(Unexplained):
        plan_of(row({**attributes, names.DB_QUERY_TEXT: "SELECT * FROM nowhere"}))
    plan_of(row({**attributes, names.DB_QUERY_TEXT: "SELECT nextval('test_site_author_id_seq')"}))
    with pg.cursor() as cursor:
        cursor.execute("SELECT is_called FROM test_site_author_id_seq")
        assert cursor.fetchone() == (False,)


@pytest.mark.parametrize("query", QUERIES)
def test_mariadb_plans_what_django_asks_for(maria: BaseDatabaseWrapper, query: Query) -> None:
    found = plan(maria.alias, query)
    assert found.lines[0].startswith("id 1, kind SIMPLE")


def explaining(cursor: Any) -> list[int]:
    """The server's threads that make a plan."""
    cursor.execute("SHOW PROCESSLIST")
    return [each[0] for each in cursor.fetchall() if str(each[7]).startswith("EXPLAIN")]


def test_mariadb_stops_to_make_a_plan_that_takes_long(maria: BaseDatabaseWrapper) -> None:
    """Twenty tables in any order, where nothing is left out as unlikely."""
    with capture() as captured:
        list(Author.objects.using("maria").all())
    attributes = dict(captured.one("SELECT test_site_author").attributes)
    tables = ", ".join(f"test_site_author a{number}" for number in range(20))
    joined = " AND ".join(f"a{number}.name > a{number - 1}.name" for number in range(1, 20))
    statement = f"SELECT a0.id FROM {tables} WHERE {joined}"
    with maria.cursor() as cursor:
        cursor.execute("SET GLOBAL optimizer_prune_level = 0")
        began_s = monotonic()
        try:
            with pytest.raises(Unexplained, match="gave no plan"):
                plan_of(row({**attributes, names.DB_QUERY_TEXT: statement}))
            while (going_on := explaining(cursor)) and monotonic() < began_s + 10:
                sleep(0.1)
            for number in going_on:
                cursor.execute(f"KILL {number}")
            assert not going_on
        finally:
            cursor.execute("SET GLOBAL optimizer_prune_level = DEFAULT")
