"""Which messages of database drivers may leave: those that hold no value, by a closed list.

Drivers quote rows, parameters and parts of statements. What is let through are whole sentences
known to name nothing but tables and constraints. Columns are left out: a value in the wrong kind
of quotes is taken for a column's name by most databases.
"""

from __future__ import annotations

import functools
import re
from typing import Final

_NAME: Final = r"""["'`]?[A-Za-z_][\w.$]{0,127}["'`]?"""
_COLUMN: Final = r"[A-Za-z_]\w{0,62}\.[A-Za-z_]\w{0,62}"
"""As SQLite itself names one of its tables' columns."""
_FOREIGN_KEY: Final = rf"foreign key constraint {_NAME}(?: on table {_NAME})?"
_SENTENCES: Final = (
    # SQLite
    rf"no such table: {_NAME}",
    r"(no such column): .*",
    rf"(?:UNIQUE|NOT NULL) constraint failed: {_COLUMN}(?:, {_COLUMN})*",
    rf"CHECK constraint failed: {_NAME}",
    r"FOREIGN KEY constraint failed",
    r"database (?:table )?is locked(?:: [\w.]+)?",
    r"database disk image is malformed",
    r"disk I/O error",
    r"attempt to write a readonly database",
    r"unable to open database file",
    r"database or disk is full",
    # PostgreSQL
    rf"relation {_NAME} does not exist",
    r"(column) .* (does not exist)",
    rf"duplicate key value violates unique constraint {_NAME}",
    rf"null value in column {_NAME} of relation {_NAME} violates not-null constraint",
    rf"(?:insert or update|update or delete) on table {_NAME} violates {_FOREIGN_KEY}",
    rf"new row for relation {_NAME} violates check constraint {_NAME}",
    rf"permission denied for (?:table|schema|sequence|relation) {_NAME}",
    r"deadlock detected",
    r"canceling statement due to (?:statement timeout|lock timeout|user request)",
    r"could not serialize access due to .{0,60}",
    r"current transaction is aborted, commands ignored until end of transaction block",
    r"server closed the connection unexpectedly",
    r"the connection is closed",
    r"sorry, too many clients already",
    r"terminating connection due to administrator command",
    # MySQL and MariaDB
    rf"Table {_NAME} doesn't exist",
    r"(Unknown column) .*",
    r"Deadlock found when trying to get lock; try restarting transaction",
    r"Lock wait timeout exceeded; try restarting transaction",
    r"Lost connection to (?:MySQL )?server during query",
    r"(?:MySQL )?[Ss]erver has gone away",
    r"Too many connections",
)


@functools.cache
def _pattern() -> re.Pattern[str]:
    """Compiled when the first error comes: it takes as long as some imports."""
    return re.compile("|".join(f"(?:{sentence})" for sentence in _SENTENCES))


def harmless(text: str) -> str | None:
    """The first line of a driver's message as it may leave, None if it may not.

    Where a sentence names a column, the name is left out.
    """
    line = text.partition("\n")[0].strip().removesuffix(".")
    match = _pattern().fullmatch(line)
    if match is None:
        return None
    kept = [part for part in match.groups() if part is not None]
    return " ".join(kept) if kept else line
