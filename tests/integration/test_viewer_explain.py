"""Plans of recorded statements from real servers."""

from __future__ import annotations

from collections.abc import Callable

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
