"""The embedded store's SQL for exceptions that are alike. For slice 7:

``error_7``    one row a fingerprint, service and version, with what the last one said
``sample_7``   the last few of each fingerprint: the log record or the span that told of it

``roll_up_schema`` has their numbers. An exception that both a log record and a span tell of is
counted once, by whoever writes it (``error_rows``).
"""

from __future__ import annotations

from typing import Final

from otel_django.store import roll_up_schema
from otel_django.store.roll_up_schema import ERROR_COUNT

TABLES: Final = ("sample", "error")
SLOTS: Final = 17
"""Samples a fingerprint; each second has a slot, which the next one in it takes over."""
TOLD: Final = ("type", "message", "place", "origin")


def create(number: int) -> tuple[str, ...]:
    """The statements that make a slice's tables."""
    return (
        f"""
        CREATE TABLE error_{number} (
            fingerprint INTEGER NOT NULL,
            service INTEGER NOT NULL,       -- text
            version INTEGER NOT NULL,       -- text: service.version, or the empty one
            type INTEGER NOT NULL,          -- text
            message INTEGER NOT NULL,       -- text
            place INTEGER NOT NULL,         -- text: the line of code
            origin INTEGER NOT NULL,        -- text: route or task
            first_ns INTEGER NOT NULL,
            last_ns INTEGER NOT NULL,
            PRIMARY KEY (fingerprint, service, version)
        ) WITHOUT ROWID
        """,
        f"""
        CREATE TABLE sample_{number} (
            fingerprint INTEGER NOT NULL,
            slot INTEGER NOT NULL,
            time_ns INTEGER NOT NULL,
            trace_id TEXT NOT NULL,         -- 32 hexadecimal digits, or empty
            log INTEGER,                    -- log_{number}.id
            span INTEGER,                   -- span_{number}.id
            PRIMARY KEY (fingerprint, slot)
        ) WITHOUT ROWID
        """,
    )


def add(number: int, table: str, count: str) -> str:
    """Statements of a trigger, after its rows: ``NEW.errors`` is null or ``error_rows.Errors``'.

    ``table``, log or span, has the rows that samples count from the first of the batch on, and
    ``count`` is how many there were.
    """
    row = f"(SELECT max(id) FROM {table}_{number}) - {count} + 1 + (value ->> 4)"
    log, span = (row, "NULL") if table == "log" else ("NULL", row)
    told = ", ".join(
        f"{column} = CASE WHEN excluded.last_ns >= last_ns THEN excluded.{column} ELSE {column} END"
        for column in TOLD
    )
    return f"""
    INSERT INTO error_{number}
        SELECT {", ".join(f"value ->> {index}" for index in range(9))}
        FROM json_each(NEW.errors, '$.groups') WHERE true
        ON CONFLICT DO UPDATE SET {told}, first_ns = min(first_ns, excluded.first_ns),
            last_ns = max(last_ns, excluded.last_ns);

    {roll_up_schema.add(number, ERROR_COUNT, "NEW.errors, '$.counts'")}

    INSERT INTO sample_{number}
        SELECT {", ".join(f"value ->> {index}" for index in range(4))}, {log}, {span}
        FROM json_each(NEW.errors, '$.samples') WHERE true
        ON CONFLICT DO UPDATE SET time_ns = excluded.time_ns, trace_id = excluded.trace_id,
            log = excluded.log, span = excluded.span WHERE excluded.time_ns >= time_ns;
    """
