"""Plans of recorded statements, from SQLite; other databases' are in the integration tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from otel_django import names
from otel_django.contracts import SpanRow
from otel_django.viewer.explain import Unexplained, is_explainable, plan_of
from tests.site.databases import database_alias


def span(statement: str, namespace: str = "shop.sqlite3", system: str = "sqlite") -> SpanRow:
    attributes: dict[str, Any] = {
        names.DB_SYSTEM_NAME: system,
        names.DB_NAMESPACE: namespace,
        names.DB_QUERY_TEXT: statement,
    }
    return SpanRow(
        *("1" * 32, "2" * 16, None, True, "q", "client", "shop", 0, 1, "unset"),
        attributes=attributes,
    )


@pytest.fixture
def shop(tmp_path: Path) -> Any:
    path = tmp_path / "shop.sqlite3"
    with database_alias("shop", ENGINE="django.db.backends.sqlite3", NAME=str(path)) as connection:
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE product (id integer primary key, name text)")
            cursor.execute("CREATE INDEX product_name ON product (name)")
            cursor.execute("INSERT INTO product (name) VALUES ('pen')")
        yield connection


@pytest.mark.usefixtures("shop")
def test_a_plan_is_had_without_values() -> None:
    plan = plan_of(span("SELECT id FROM product WHERE name = %s ORDER BY ? LIMIT ?"))
    assert plan.alias == "shop"
    assert plan.lines == ("SEARCH product USING COVERING INDEX product_name (name=?)",)


def test_names_of_columns_are_no_commands() -> None:
    assert is_explainable(span('SELECT "t"."procedure", "t"."pg_size" FROM "t" WHERE "into" = %s'))


@pytest.mark.usefixtures("shop")
def test_functions_that_django_brings_are_known() -> None:
    statement = "SELECT django_date_trunc(%s, name, %s, %s) FROM product"
    assert plan_of(span(statement)).lines[0].startswith("SCAN product")


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM product",
        "SELECT 1; DELETE FROM product",
        "SELECT a[1; DELETE FROM product]",
        "EXPLAIN ANALYZE SELECT 1",
        "WITH gone AS (DELETE FROM product RETURNING id) SELECT * FROM gone",
        "SELECT id FROM product WHERE id IN (…",
        "SELECT 1\x00",
        "SELECT id FROM product INTO OUTFILE '/tmp/plan'",
        "SELECT id INTO copied FROM product",
        "SELECT /*!50000 1 INTO DUMPFILE '/tmp/plan' */",
        "SELECT id FROM product WHERE id = (SELECT sleep(10))",
        "SELECT id FROM product WHERE id = `sleep` (10)",
        "SELECT id FROM product WHERE id = SLEEP/* */(10)",
        'SELECT u&"\\0070g_sleep"(10)',
        "SELECT pg_sleep(10), pg_catalog.lo_import('/etc/passwd')",
        "SELECT load_file('/etc/passwd')",
        "SELECT query_to_xml('DELETE FROM product', true, true, '')",
        "",
    ],
)
@pytest.mark.usefixtures("shop")
def test_nothing_is_asked_for_but_the_plan_of_one_whole_select(statement: str) -> None:
    assert not is_explainable(span(statement))
    with pytest.raises(Unexplained):
        plan_of(span(statement))


@pytest.mark.usefixtures("shop")
def test_a_database_that_is_not_this_sites_is_not_asked() -> None:
    for other in (span("SELECT 1", "other.sqlite3"), span("SELECT 1", system="postgresql")):
        with pytest.raises(Unexplained, match="database of this site"):
            plan_of(other)


@pytest.mark.usefixtures("shop")
def test_a_statement_that_the_database_refuses_is_told_without_its_values() -> None:
    with pytest.raises(Unexplained, match="gave no plan"):
        plan_of(span("SELECT nothing FROM nowhere"))


def test_asking_leaves_the_data_and_the_sites_own_connection_alone(shop: Any) -> None:
    with shop.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM product")
        before = cursor.fetchone(), shop.queries_limit, shop.in_atomic_block
        plan_of(span("SELECT id FROM product"))
        cursor.execute("SELECT count(*) FROM product")
        assert (cursor.fetchone(), shop.queries_limit, shop.in_atomic_block) == before
