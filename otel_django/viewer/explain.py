"""How a database of this site would run a recorded statement, which has no values.

Nothing is run but ``EXPLAIN``, never ``ANALYZE``, of one ``SELECT``, on a connection of its own
that may only read, is waited for two seconds at most and is left without a commit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from otel_django import names
from otel_django.errors import OtelDjangoError
from otel_django.health import database_session
from otel_django.health.results import CheckError
from otel_django.instrumentation.database_connection import describe
from otel_django.instrumentation.sql import TOKEN

if TYPE_CHECKING:
    from otel_django.contracts import SpanRow

TIMEOUT_S: Final = 2.0
CUT: Final = "…"
ANY_VALUES: Final = "for any values, as none are recorded"
NULLS: Final = (
    "with NULL for each value and without a limit, as none are recorded: it may call conditions "
    "impossible"
)
MOST_LINES: Final = 500
_DOES: Final = re.compile(
    r"/\*!|/\*M!|\bU&[\"']|\b(?:INTO|ANALYZE|PROCEDURE)\b(?![\"`])|"
    r"\b(?:sleep|benchmark|get_lock|release_lock|release_all_locks|load_file|sys_\w+|"
    r"load_extension|master_pos_wait|source_pos_wait|wait_\w+|set_config|pg_\w+|"
    r"lo_\w+|dblink\w*|(?:query|table|schema|database|cursor)_to_xml\w*)"
    r"[\s\"`]*(?:\(|/\*|--|#)",
    re.IGNORECASE | re.ASCII,
)
"""What writes, waits or reads files, or may hide its name (``U&``). Databases may call functions
while they plan: what came by OTLP may have anything in it.
"""
_UNLIMITED: Final = {"LIMIT": "18446744073709551615", "OFFSET": "0"}
_BEFORE_PLACES: Final = frozenset(("BY", "ASC", "DESC"))
_ALIKE: Final = {"mariadb": "mysql"}
_ACCESS: Final = ("access", "possible keys", "key", "length", "ref", "rows")
_COLUMNS: Final[Mapping[int, tuple[str, ...]]] = {
    10: ("id", "kind", "table", *_ACCESS, "extra"),
    12: ("id", "kind", "table", "partitions", *_ACCESS, "filtered", "extra"),
}
"""MariaDB's and MySQL's, by how many there are."""


class Unexplained(OtelDjangoError):
    """Why there is no plan."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``note`` says what stood for the values."""

    alias: str
    lines: tuple[str, ...]
    note: str


def is_explainable(span: SpanRow) -> bool:
    """Whether its statement is a whole ``SELECT``; whether it can be had is seen when asked for."""
    statement = span.attributes.get(names.DB_QUERY_TEXT)
    return isinstance(statement, str) and not objection(statement)


def plan_of(span: SpanRow) -> Plan:
    """The plan of a span's statement, from the database of this site that it ran on.

    Raises:
        Unexplained: there is none, and why.
    """
    statement = str(span.attributes.get(names.DB_QUERY_TEXT, ""))
    against = objection(statement)
    if against:
        raise Unexplained(against)
    alias, vendor = _database(span)
    explain = {"sqlite": _sqlite, "postgresql": _postgresql, "mysql": _mysql}.get(vendor)
    if explain is None:
        raise Unexplained(f"Plans of {vendor} aren't asked for.")
    try:
        lines, note = explain(alias, statement)
    except CheckError as error:
        raise Unexplained(f"The database gave no plan: {error}") from error
    except Exception as error:
        raise Unexplained(f"The database gave no plan ({type(error).__name__}).") from error
    return Plan(alias, tuple(lines[:MOST_LINES]), note)


def objection(statement: str) -> str:
    """What stands against asking for a statement's plan; empty: nothing."""
    if statement.lstrip("( \n\t")[:7].upper().strip() != "SELECT":
        return "Only plans of SELECT statements are asked for."
    if statement.rstrip().endswith(CUT):
        return "The statement was too long to be recorded whole."
    if ";" in statement.rstrip("; \n") or "\x00" in statement:
        return "Only plans of single statements are asked for."
    if _DOES.search(statement):
        return "Only plans of statements that merely read are asked for."
    return ""


def _database(span: SpanRow) -> tuple[str, str]:
    """Alias and vendor of the database that a span names."""
    from django.db import connections

    wanted = _identity(span.attributes)
    for alias in database_session.aliases():
        connection = connections[alias]
        if _identity(describe(connection).attributes) == wanted:
            return alias, connection.vendor
    raise Unexplained("It didn't run on a database of this site.")


def _identity(attributes: Any) -> tuple[str, str]:
    system = str(attributes.get(names.DB_SYSTEM_NAME, ""))
    return _ALIKE.get(system, system), str(attributes.get(names.DB_NAMESPACE, ""))


def _with(statement: str, placeholders: Iterator[str], limits: Mapping[str, str]) -> str:
    """The statement with each placeholder replaced by the next of ``placeholders``.

    Those of ORDER BY and GROUP BY were places of columns: the first one stands for all of them.
    ``limits`` has what to put for those of LIMIT and OFFSET, where a value is needed.
    """
    parts: list[str] = []
    word = ""
    for match in TOKEN.finditer(statement.rstrip("; \n")):
        kind, text = match.lastgroup, match.group()
        if kind == "word":
            word = text.upper()
        elif kind in ("quoted", "operator"):
            word = ""
        elif kind == "placeholder":
            text = "1" if word in _BEFORE_PLACES else limits.get(word) or next(placeholders)
        parts.append(text)
    return "".join(parts)


def _sqlite(alias: str, statement: str) -> tuple[list[str], str]:
    from django.db import connections

    wrapper: Any = connections[alias].copy()
    params = wrapper.get_connection_params()
    params["timeout"] = TIMEOUT_S
    if not Path(params["database"]).exists():
        raise Unexplained("The database's file isn't there.")
    sql = _with(statement, repeat("?"), {})
    with closing(wrapper.get_new_connection(params)) as connection:
        connection.execute("PRAGMA query_only = ON")
        # The plan is made before anything is bound; the driver wants something for each, though.
        unbound = [None] * sum(match.group() == "?" for match in TOKEN.finditer(sql))
        rows = connection.execute(f"EXPLAIN QUERY PLAN {sql}", unbound).fetchall()
    return list(_indented(rows)), ANY_VALUES


def _indented(rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """SQLite's steps, which name those they are part of."""
    depths: dict[Any, int] = {0: -1}
    for number, parent, _, text in rows:
        depths[number] = depths.get(parent, -1) + 1
        yield f"{'  ' * depths[number]}{text}"


def _postgresql(alias: str, statement: str) -> tuple[list[str], str]:
    """By a prepared statement, whose generic plan PostgreSQL before 16 tells, too."""
    numbers = count(1)
    sql = _with(statement, (f"${number}" for number in numbers), {})
    values = ", ".join(["NULL"] * (next(numbers) - 1))
    with database_session.session(alias, TIMEOUT_S) as session:
        session.rows("BEGIN READ ONLY")
        session.rows("SET LOCAL plan_cache_mode = force_generic_plan")
        session.rows(f"PREPARE otel_django AS {sql}")
        rows = session.rows(f"EXPLAIN EXECUTE otel_django{f'({values})' if values else ''}")
        session.rows("ROLLBACK")
    return [str(line) for (line,) in rows], ANY_VALUES


def _mysql(alias: str, statement: str) -> tuple[list[str], str]:
    with database_session.session(alias, TIMEOUT_S) as session:
        session.rows("SET SESSION TRANSACTION READ ONLY")
        session.rows(_ended_by_server(session.rows("SELECT VERSION()")))
        rows = session.rows(f"EXPLAIN {_with(statement, repeat('NULL'), _UNLIMITED)}")
    return [_told(row) for row in rows], NULLS


def _ended_by_server(version: Sequence[Sequence[Any]]) -> str:
    """One that makes a plan doesn't notice that its client is gone."""
    if "mariadb" in str(version).lower():
        return f"SET SESSION max_statement_time = {TIMEOUT_S / 2}"
    return f"SET SESSION max_execution_time = {TIMEOUT_S / 2 * 1000:.0f}"


def _told(row: Sequence[Any]) -> str:
    titles = _COLUMNS.get(len(row), ("",) * len(row))
    known = ((title, value) for title, value in zip(titles, row, strict=True) if value is not None)
    return ", ".join(f"{title} {value}".strip() for title, value in known)
