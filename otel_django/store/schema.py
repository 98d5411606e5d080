"""The embedded store's SQL: what each table holds, and how the schema moves forward.

A file has a registry and one table set a time slice, so that retention is a DROP:

``slice``         one row a table set; spans go to the one with the highest id
``lease``         which process does the housekeeping, until when

and for slice 7:

``text_7``        every repeated text once: names, routes, statements, resource and scope as JSON,
                  the attributes of queries as JSON. ``id`` is a hash of the text, the same in
                  every slice and process, so nothing has to be asked back
``trace_7``       one row a trace, summed up as its spans arrive, from any number of processes
``span_7``        one row a span; what isn't a column stands as JSON in ``data``, or in the text
                  that ``shared`` names
``find_7``        words of a trace's spans, row id = one of its spans (FTS5, or a plain table)
``ingest_7``      a view without rows: inserting a batch into it runs everything above as one
                  statement, so that a busy thread takes the interpreter lock once a batch only

The other tables of a slice: ``log_schema``, ``metric_schema``, ``roll_up_schema``, ``call_schema``,
``error_schema``. Slices of version 1 have neither logs nor metrics; those before version 3 no sums
but ``endpoint_7``, without kind and queries, and ``statement_7``, both by the minute only; those
before version 4 no ``two_hours_7``; those before version 5 only the last point of a minute, half
hour or two hours, also where a sum began anew in it.

Times are nanoseconds since the Unix epoch, span ids signed 64-bit integers
(``printf('%016x', span_id)`` shows the usual form), ``kind`` and ``status`` OpenTelemetry's codes.
"""

from __future__ import annotations

from typing import Final

from otel_django.store import (
    call_schema,
    error_schema,
    log_schema,
    metric_schema,
    roll_up_schema,
)
from otel_django.store.roll_up_schema import EDGE, ENDPOINT, STATEMENT

APPLICATION_ID: Final = 0x4F54444A  # "OTDJ"
VERSION: Final = 5
WITH_LOGS_AND_METRICS: Final = 2
WITH_ROLL_UPS: Final = 3
SQLITE_FLOOR: Final = (3, 38, 0)  # ``->>``
PAGE_BYTES: Final = 8192
SLICE_ENDED: Final = "slice ended"

REGISTRY_1: Final = (
    """
    CREATE TABLE slice (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        version INTEGER NOT NULL,           -- of the schema its tables were made with
        started_ns INTEGER NOT NULL,
        pages_before INTEGER NOT NULL,      -- pages in use when it began: what it takes is the rest
        fts INTEGER NOT NULL,
        dropping INTEGER NOT NULL DEFAULT 0
    )
    """,
    """
    CREATE TABLE lease (
        name TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        until_ns INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
)

SLICES_HAVE_LOGS_AND_METRICS: Final[tuple[str, ...]] = ()
SLICES_HAVE_ROLL_UPS: Final[tuple[str, ...]] = ()
SLICES_HAVE_TWO_HOURS: Final[tuple[str, ...]] = ()
SLICES_KEEP_STARTS: Final[tuple[str, ...]] = ()
MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    REGISTRY_1,
    SLICES_HAVE_LOGS_AND_METRICS,
    SLICES_HAVE_ROLL_UPS,
    SLICES_HAVE_TWO_HOURS,
    SLICES_KEEP_STARTS,
)
"""Step n takes the registry from version n to n + 1. After a step a new slice begins; older slices
keep the tables of their version until they are dropped."""

ROOT_COLUMNS: Final = (
    "rank",
    "root_start_ns",
    "name",
    "route",
    "service",
    "method",
    "http_status",
    "failed",
    "n_plus_one",
)
"""What a trace takes from its best root so far: no parent (2), a parent elsewhere (1), none (0)."""

TABLES: Final = (
    "find",
    "span",
    "trace",
    *roll_up_schema.TABLES,
    *call_schema.TABLES,
    *error_schema.TABLES,
    *log_schema.TABLES,
    *metric_schema.TABLES,
    "text",
)
VIEWS: Final = ("ingest", log_schema.VIEW, metric_schema.VIEW)


def tables(number: int) -> tuple[str, ...]:
    """The tables of a slice, in the order they are dropped."""
    return tuple(f"{table}_{number}" for table in TABLES)


def views(number: int) -> tuple[str, ...]:
    """The views of a slice, which go before its tables."""
    return tuple(f"{view}_{number}" for view in VIEWS)


def create_slice(number: int, *, fts: bool) -> tuple[str, ...]:
    """The statements that make a slice's tables."""
    guard = _guard(number)
    return (
        *roll_up_schema.create(number),
        *call_schema.create(number),
        *error_schema.create(number),
        *_create_traces(number, fts=fts),
        *log_schema.create(number, guard, fts=fts),
        *metric_schema.create(number, guard),
    )


def _guard(number: int) -> str:
    return (
        f"SELECT RAISE(ABORT, '{SLICE_ENDED}') "
        f"WHERE EXISTS (SELECT 1 FROM slice WHERE id > {number})"
    )


def _create_traces(number: int, *, fts: bool) -> tuple[str, ...]:
    find = (
        f"CREATE VIRTUAL TABLE find_{number} USING fts5"
        "(text, content='', detail=none, columnsize=0)"
        if fts
        else f"CREATE TABLE find_{number} (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"
    )
    return (
        f"CREATE TABLE text_{number} (id INTEGER PRIMARY KEY, value TEXT NOT NULL)",
        f"""
        CREATE TABLE trace_{number} (
            id INTEGER PRIMARY KEY,
            trace_id TEXT NOT NULL UNIQUE,  -- 32 hexadecimal digits
            start_ns INTEGER NOT NULL,      -- of its first span
            end_ns INTEGER NOT NULL,        -- of its last
            duration_ns INTEGER NOT NULL,   -- the root's; until it came, from start to end
            spans INTEGER NOT NULL,
            errors INTEGER NOT NULL,        -- spans with status ERROR
            queries INTEGER NOT NULL,
            query_ns INTEGER NOT NULL,
            rank INTEGER NOT NULL,
            root_start_ns INTEGER,
            name INTEGER,                   -- text: the root's name
            route INTEGER,                  -- text: http.route, else the root's name
            service INTEGER,                -- text
            method TEXT,
            http_status INTEGER,
            failed INTEGER,                 -- the root has status ERROR
            n_plus_one INTEGER              -- queries that were repeats of one another
        )
        """,
        f"CREATE INDEX trace_{number}_start ON trace_{number} (start_ns)",
        f"CREATE INDEX trace_{number}_route ON trace_{number} (route, start_ns)",
        f"CREATE INDEX trace_{number}_duration ON trace_{number} (duration_ns)",
        f"CREATE INDEX trace_{number}_status ON trace_{number} (http_status / 100, start_ns)",
        f"CREATE INDEX trace_{number}_errors ON trace_{number} (start_ns) WHERE errors > 0",
        f"""
        CREATE TABLE span_{number} (
            id INTEGER PRIMARY KEY,         -- in the order of arrival
            trace INTEGER NOT NULL,         -- trace_{number}.id
            span_id INTEGER NOT NULL,
            parent_id INTEGER,
            local_root INTEGER NOT NULL,    -- no parent, or one in another process
            start_ns INTEGER NOT NULL,
            duration_ns INTEGER NOT NULL,
            kind INTEGER NOT NULL,
            status INTEGER NOT NULL,
            name INTEGER NOT NULL,          -- text
            source INTEGER NOT NULL,        -- text: resource and scope, JSON
            shared INTEGER,                 -- text: JSON of the same shape as data
            data TEXT                       -- JSON: attributes, events, links, message, ...
        )
        """,
        f"CREATE INDEX span_{number}_trace ON span_{number} (trace, span_id)",
        find,
        f"""
        CREATE VIEW ingest_{number} AS SELECT
            NULL AS texts, NULL AS traces, NULL AS spans, NULL AS span_count,
            NULL AS finds, NULL AS endpoints, NULL AS statements, NULL AS edges, NULL AS sources,
            NULL AS callees, NULL AS errors WHERE 0
        """,
        _ingest_trigger(number, fts=fts),
    )


def _ingest_trigger(number: int, *, fts: bool) -> str:
    better = (
        "excluded.rank > rank OR excluded.rank = rank AND excluded.root_start_ns < root_start_ns"
    )
    root = ",\n".join(
        f"{column} = CASE WHEN {better} THEN excluded.{column} ELSE {column} END"
        for column in ROOT_COLUMNS
    )
    return f"""
    CREATE TRIGGER ingest_{number}_batch INSTEAD OF INSERT ON ingest_{number} BEGIN

    {_guard(number)};

    INSERT INTO text_{number} (id, value)
        SELECT value ->> 0, value ->> 1 FROM json_each(NEW.texts) WHERE true
        ON CONFLICT DO NOTHING;

    INSERT INTO trace_{number} (
        trace_id, start_ns, end_ns, duration_ns, spans, errors, queries, query_ns,
        {", ".join(ROOT_COLUMNS)}
    )
        SELECT {", ".join(f"value ->> {i}" for i in range(8 + len(ROOT_COLUMNS)))}
        FROM json_each(NEW.traces) WHERE true
        ON CONFLICT (trace_id) DO UPDATE SET
            start_ns = min(start_ns, excluded.start_ns),
            end_ns = max(end_ns, excluded.end_ns),
            duration_ns = CASE
                WHEN {better} THEN excluded.duration_ns
                WHEN rank > 0 THEN duration_ns
                ELSE max(end_ns, excluded.end_ns) - min(start_ns, excluded.start_ns) END,
            spans = spans + excluded.spans,
            errors = errors + excluded.errors,
            queries = queries + excluded.queries,
            query_ns = query_ns + excluded.query_ns,
            {root};

    INSERT INTO span_{number} (
        trace, span_id, parent_id, local_root, start_ns, duration_ns, kind, status,
        name, source, shared, data
    )
        SELECT (SELECT id FROM trace_{number} WHERE trace_id = value ->> 0),
            {", ".join(f"value ->> {i}" for i in range(1, 12))}
        FROM json_each(NEW.spans);

    INSERT INTO find_{number} ({"rowid" if fts else "id"}, text)
        SELECT (SELECT max(id) FROM span_{number}) - NEW.span_count + 1 + (value ->> 0), value ->> 1
        FROM json_each(NEW.finds);

    {roll_up_schema.add(number, ENDPOINT, "NEW.endpoints")}
    {roll_up_schema.add(number, STATEMENT, "NEW.statements")}
    {roll_up_schema.add(number, EDGE, "NEW.edges")}
    {call_schema.add_sources(number)}
    {call_schema.add_callees(number)}
    {error_schema.add(number, "span", "NEW.span_count")}

    END
    """


def ingest(number: int) -> str:
    """Write one batch into a slice; the arguments are ``rows.Rows`` in its order."""
    return f"INSERT INTO ingest_{number} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


BUCKETS_AN_OCTAVE: Final = 4
SMALLEST_OCTAVE: Final = 11  # bits of 1,024 ns


def bucket(duration_ns: int) -> int:
    """The histogram bucket of a duration: 0 up to 1 µs, then four equal ones an octave."""
    bits = duration_ns.bit_length()
    if bits < SMALLEST_OCTAVE:
        return 0
    return ((bits - SMALLEST_OCTAVE) << 2) + ((duration_ns >> (bits - 3)) & 3) + 1


def bucket_middle_ns(number: int) -> int:
    """The duration in the middle of a bucket."""
    if number == 0:
        return 1 << (SMALLEST_OCTAVE - 2)
    octave, quarter = divmod(number - 1, BUCKETS_AN_OCTAVE)
    return (1 << (octave + SMALLEST_OCTAVE - 4)) * (2 * (BUCKETS_AN_OCTAVE + quarter) + 1)
