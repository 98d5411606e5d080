"""The embedded store's SQL for sums, which pages read instead of rows. For slice 7:

``endpoint_7``     a minute's local roots (requests, tasks, ...) by name, as a histogram of their
                   durations; queries are those of their own process
``statement_7``    the same for database statements
``edge_7``         calls from a service to another one, a database, a queue or a host; and which
                   host is which service
``log_count_7``    log records by logger and class of severity
``error_count_7``  exceptions by fingerprint

Each stands twice, the second time with ``long_`` before its name: there ``minute`` is the first of
a half hour, so that sums over days read few rows. Minutes count from the epoch. Writers add to the
rows that are there: processes sum.
"""

from __future__ import annotations

from typing import Final, NamedTuple

LONG_MINUTES: Final = 30
EDGE_KINDS: Final = ("service", "database", "messaging", "http", "peer")
"""The last one is no call: of an HTTP host (``source``) to the service that answers there."""
LEVELS: Final = ("debug", "info", "warning", "error", "critical")


class RollUp(NamedTuple):
    """A table of sums: its key after the minute, and what is summed."""

    name: str
    key: tuple[str, ...]
    sums: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """All, in the order of a row."""
        return ("minute", *self.key, *self.sums)


_CALLS: Final = ("count", "errors", "duration_ns")
ENDPOINT: Final = RollUp(
    "endpoint", ("service", "kind", "name", "route", "bucket"), (*_CALLS, "queries", "query_ns")
)
"""``kind`` is the span's; ``bucket`` of the duration, see ``schema.bucket``."""
STATEMENT: Final = RollUp("statement", ("service", "statement", "bucket"), _CALLS)
EDGE: Final = RollUp("edge", ("source", "target", "kind", "bucket"), _CALLS)
"""``kind`` is an index of EDGE_KINDS."""
LOG_COUNT: Final = RollUp("log_count", ("service", "logger", "level"), ("count",))
"""``level`` is an index of LEVELS."""
ERROR_COUNT: Final = RollUp("error_count", ("fingerprint", "service"), ("count",))
ALL: Final = (ENDPOINT, STATEMENT, EDGE, LOG_COUNT, ERROR_COUNT)

TABLES: Final = tuple(f"{prefix}{each.name}" for each in ALL for prefix in ("", "long_"))


def create(number: int) -> tuple[str, ...]:
    """The statements that make a slice's tables."""
    return tuple(
        f"""
        CREATE TABLE {prefix}{each.name}_{number} (
            {", ".join(f"{column} INTEGER NOT NULL" for column in each.columns)},
            PRIMARY KEY (minute, {", ".join(each.key)})
        ) WITHOUT ROWID
        """
        for each in ALL
        for prefix in ("", "long_")
    )


def add(number: int, to: RollUp, rows: str) -> str:
    """Statements of a trigger: add the rows of a JSON array, ``rows``, minutes first."""
    width = len(to.columns)
    return add_selected(
        number,
        to,
        ", ".join(f"value ->> {index}" for index in range(1, width)),
        f"FROM json_each({rows}) WHERE true",
        minute="(value ->> 0)",
    )


def add_selected(number: int, to: RollUp, columns: str, source: str, *, minute: str) -> str:
    """Statements of a trigger: add what ``SELECT minute, columns source`` gives."""
    sums = ", ".join(f"{column} = {column} + excluded.{column}" for column in to.sums)
    return "\n".join(
        f"""
        INSERT INTO {table}_{number} SELECT {at}, {columns} {source}
            ON CONFLICT DO UPDATE SET {sums};
        """
        for table, at in (
            (to.name, minute),
            (f"long_{to.name}", f"{minute} / {LONG_MINUTES} * {LONG_MINUTES}"),
        )
    )
