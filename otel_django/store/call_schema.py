"""The embedded store's SQL for who spoke and who called whom. For slice 7:

``source_7``   whose spans and log records there are: service and version, first and last seen
``callee_7``   local roots that were called from elsewhere, until the caller's span is there too.
               What arrives second makes the two an edge; where the caller's stands in another
               slice, or was not recorded, there is none
"""

from __future__ import annotations

from typing import Final

from otel_django import names
from otel_django.store import roll_up_schema
from otel_django.store.calls import MAX_NAME
from otel_django.store.roll_up_schema import EDGE, EDGE_KINDS

MINUTE_NS: Final = 60_000_000_000
TABLES: Final = ("callee", "source")
CALLEE_COLUMNS: Final = (
    "trace",
    "parent_id",
    "span_id",
    "minute",
    "service",
    "bucket",
    "failed",
    "duration_ns",
)
_ATTRIBUTE: Final = "caller.data ->> '$.attributes.\"{}\"'"
_ADDRESS: Final = _ATTRIBUTE.format(names.SERVER_ADDRESS)
_PORT: Final = _ATTRIBUTE.format(names.SERVER_PORT)
_HOST: Final = f"""
    substr({_ADDRESS} || CASE WHEN coalesce({_PORT}, 80) IN (80, 443) THEN ''
        ELSE ':' || ({_PORT}) END, 1, {MAX_NAME})
"""
"""As ``calls.called`` names it."""


def create(number: int) -> tuple[str, ...]:
    """The statements that make a slice's tables."""
    return (
        f"""
        CREATE TABLE source_{number} (
            id INTEGER PRIMARY KEY,         -- text: resource and scope, JSON
            service INTEGER NOT NULL,       -- text
            version INTEGER,                -- text: service.version
            first_ns INTEGER NOT NULL,
            last_ns INTEGER NOT NULL
        )
        """,
        f"""
        CREATE TABLE callee_{number} (
            {", ".join(f"{column} INTEGER NOT NULL" for column in CALLEE_COLUMNS)},
            PRIMARY KEY (trace, parent_id, span_id)
        ) WITHOUT ROWID
        """,
    )


def add_sources(number: int) -> str:
    """Statements of a trigger: ``NEW.sources`` are rows of ``source_7``."""
    return f"""
    INSERT INTO source_{number}
        SELECT {", ".join(f"value ->> {index}" for index in range(5))}
        FROM json_each(NEW.sources) WHERE true
        ON CONFLICT DO UPDATE SET first_ns = min(first_ns, excluded.first_ns),
            last_ns = max(last_ns, excluded.last_ns);
    """


def add_callees(number: int) -> str:
    """Statements of a trigger, after its spans: ``NEW.callees`` are rows of ``callee_7``.

    Their traces, and those of ``NEW.traces``, are named by their 32 digits.
    """
    in_batch = f"(SELECT id FROM trace_{number} WHERE trace_id = batch.value ->> 0)"
    calls = f"""
        FROM json_each(NEW.traces) AS batch
        CROSS JOIN callee_{number} AS callee ON callee.trace = {in_batch}
        CROSS JOIN span_{number} AS caller
            ON caller.trace = callee.trace AND caller.span_id = callee.parent_id
        CROSS JOIN source_{number} AS source ON source.id = caller.source
    """
    where = "WHERE source.service <> callee.service"
    columns = f"""
        source.service, callee.service, {EDGE_KINDS.index("service")}, callee.bucket,
        1, callee.failed, callee.duration_ns
    """
    host = f"edge.target, asked.callee, {EDGE_KINDS.index('peer')}, 0, 1, 0, 0"
    asked = f"""
        FROM (
            SELECT DISTINCT callee.minute AS minute, caller.start_ns / {MINUTE_NS} AS at,
                source.service AS caller, callee.service AS callee, {_HOST} AS host
            {calls} {where}
        ) AS asked
        CROSS JOIN edge_{number} AS edge ON edge.minute = asked.at
            AND edge.source = asked.caller AND edge.kind = {EDGE_KINDS.index("http")}
        CROSS JOIN text_{number} AS text ON text.id = edge.target AND text.value = asked.host
        WHERE true
    """
    rest = ", ".join(f"value ->> {index}" for index in range(1, len(CALLEE_COLUMNS)))
    return f"""
    INSERT INTO callee_{number}
        SELECT (SELECT id FROM trace_{number} WHERE trace_id = value ->> 0), {rest}
        FROM json_each(NEW.callees) WHERE true
        ON CONFLICT DO NOTHING;

    {roll_up_schema.add_selected(number, EDGE, columns, calls + where, minute="callee.minute")}
    {roll_up_schema.add_selected(number, EDGE, host, asked, minute="asked.minute")}

    DELETE FROM callee_{number}
        WHERE trace IN (SELECT {in_batch} FROM json_each(NEW.traces) AS batch)
        AND EXISTS (
            SELECT 1 FROM span_{number} AS caller
            WHERE caller.trace = callee_{number}.trace
            AND caller.span_id = callee_{number}.parent_id
        );
    """
