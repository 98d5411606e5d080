"""SQL on several lines."""

from __future__ import annotations

from otel_django.viewer.sql_layout import brief, laid_out


def test_each_clause_and_condition_has_its_line() -> None:
    sql = (
        'SELECT "a"."id", "a"."name" FROM "a" INNER JOIN "b" ON ("a"."b_id" = "b"."id") '
        'WHERE "a"."x" = %s AND "a"."y" BETWEEN %s AND %s GROUP BY "a"."id" '
        'ORDER BY "a"."name" ASC LIMIT 21'
    )
    assert laid_out(sql).splitlines() == [
        'SELECT "a"."id", "a"."name"',
        'FROM "a"',
        'INNER JOIN "b" ON ("a"."b_id" = "b"."id")',
        'WHERE "a"."x" = %s',
        '  AND "a"."y" BETWEEN %s AND %s',
        'GROUP BY "a"."id"',
        'ORDER BY "a"."name" ASC',
        "LIMIT 21",
    ]


def test_a_subquery_is_indented_and_a_plain_parenthesis_is_not() -> None:
    assert laid_out("DELETE FROM x WHERE id IN (SELECT id FROM y WHERE (a OR b))").splitlines() == [
        "DELETE FROM x",
        "WHERE id IN (",
        "  SELECT id",
        "  FROM y",
        "  WHERE (a OR b)",
        ")",
    ]


def test_long_lists_go_on_indented() -> None:
    columns = ", ".join(f'"catalogue_product"."column_{number}"' for number in range(12))
    lines = laid_out(f"SELECT {columns} FROM t").splitlines()
    assert max(map(len, lines)) <= 88
    assert [line.startswith("    ") for line in lines] == [False, *[True] * (len(lines) - 2), False]


def test_nothing_of_a_statement_is_lost() -> None:
    for sql in (
        "WITH x AS (SELECT 1) SELECT * FROM x LEFT OUTER JOIN y USING (id) FOR UPDATE OF x",
        "INSERT INTO t (a) VALUES (?) ON CONFLICT (a) DO UPDATE SET b = EXCLUDED.b RETURNING id",
        "SELECT ((((a)) FROM ) ) ) 'x' ; SELECT",
        "UPDATE t SET a = (SELECT max(x) FROM y) WHERE i IN (%s)",
    ):
        assert "".join(laid_out(sql).split()) == "".join(sql.split())


def test_what_is_not_sql_stays_as_it_is() -> None:
    assert laid_out("db.find({from: 1})") == "db.find({from: 1})"


def test_a_statement_that_is_all_parentheses_stands() -> None:
    for sql in ("SELECT " + "(SELECT " * 2_000, "SELECT " + ")" * 19_000):
        assert "".join(laid_out(sql).split()) == "".join(sql.split())


def test_in_brief_it_says_where_from_and_under_which_conditions() -> None:
    sql = 'SELECT "p"."id", "p"."name" FROM "p" WHERE "p"."id" = ? LIMIT ?'
    assert brief(sql) == "SELECT … FROM p WHERE p.id = ? LIMIT ?"
    assert brief("DELETE FROM x") == "DELETE FROM x"
