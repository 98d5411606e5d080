"""The embedded store's SQL for logs. For slice 7:

``log_7``         one row a record, in the order of arrival
``log_find_7``    words of each record, row id = the record's (FTS5, or a plain table)
``log_ingest_7``  a view: inserting a batch into it runs everything as one statement

A trace's id stands as two signed 64-bit integers
(``printf('%016x%016x', trace_high, trace_low)``).
"""

from __future__ import annotations

from typing import Final

from otel_django.store import call_schema, error_schema, roll_up_schema
from otel_django.store.roll_up_schema import LOG_COUNT

TABLES: Final = ("log_find", "log")
VIEW: Final = "log_ingest"
COLUMNS: Final = (
    "time_ns",
    "severity",
    "level",
    "event",
    "logger",
    "service",
    "source",
    "trace_high",
    "trace_low",
    "span_id",
    "data",
)


def create(number: int, guard: str, *, fts: bool) -> tuple[str, ...]:
    """The statements that make a slice's tables; ``guard`` refuses batches once it has ended."""
    find = (
        f"CREATE VIRTUAL TABLE log_find_{number} USING fts5"
        "(text, content='', detail=none, columnsize=0)"
        if fts
        else f"CREATE TABLE log_find_{number} (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"
    )
    columns = "time_ns, severity, service"
    return (
        f"""
        CREATE TABLE log_{number} (
            id INTEGER PRIMARY KEY,
            time_ns INTEGER NOT NULL,
            severity INTEGER NOT NULL,      -- OpenTelemetry's number
            level TEXT NOT NULL,            -- as the caller's library names it
            event TEXT NOT NULL,            -- its name, else the message
            logger INTEGER NOT NULL,        -- text
            service INTEGER NOT NULL,       -- text
            source INTEGER NOT NULL,        -- text: resource and scope, JSON
            trace_high INTEGER,
            trace_low INTEGER,
            span_id INTEGER,
            data TEXT                       -- JSON: attributes, body, ...
        )
        """,
        # What most questions ask stands in the index, so that walking it touches no row in vain.
        f"CREATE INDEX log_{number}_time ON log_{number} ({columns})",
        f"CREATE INDEX log_{number}_severity ON log_{number} ({columns}) WHERE severity >= 13",
        f"CREATE INDEX log_{number}_trace ON log_{number} (trace_low) WHERE trace_low IS NOT NULL",
        find,
        f"""
        CREATE VIEW log_ingest_{number} AS SELECT
            NULL AS texts, NULL AS logs, NULL AS log_count, NULL AS finds, NULL AS counts,
            NULL AS sources, NULL AS errors WHERE 0
        """,
        f"""
        CREATE TRIGGER log_ingest_{number}_batch INSTEAD OF INSERT ON log_ingest_{number} BEGIN

        {guard};

        INSERT INTO text_{number} (id, value)
            SELECT value ->> 0, value ->> 1 FROM json_each(NEW.texts) WHERE true
            ON CONFLICT DO NOTHING;

        INSERT INTO log_{number} ({", ".join(COLUMNS)})
            SELECT {", ".join(f"value ->> {i}" for i in range(len(COLUMNS)))}
            FROM json_each(NEW.logs);

        INSERT INTO log_find_{number} ({"rowid" if fts else "id"}, text)
            SELECT (SELECT max(id) FROM log_{number}) - NEW.log_count + 1 + key, value
            FROM json_each(NEW.finds);

        {roll_up_schema.add(number, LOG_COUNT, "NEW.counts")}
        {call_schema.add_sources(number)}
        {error_schema.add(number, "log", "NEW.log_count")}

        END
        """,
    )


def ingest(number: int) -> str:
    """Write one batch into a slice; the arguments are ``log_rows.LogRows`` in its order."""
    return f"INSERT INTO log_ingest_{number} VALUES (?, ?, ?, ?, ?, ?, ?)"
