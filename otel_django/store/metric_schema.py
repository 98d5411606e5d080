"""The embedded store's SQL for metrics. For slice 7:

``metric_7``         one row a metric
``series_7``         one row a series: a metric's attributes, and whose they are
``point_7``          the last hour's points, as they were taken
``minute_7``         older ones: a series' last point of each minute, of each start of its sum
``half_hour_7``      the same of each half hour, for ranges of days; ``minute`` is its first
``two_hours_7``      the same of each two hours
``metric_ingest_7``  a view: inserting a batch into it runs everything as one statement

Points are cumulative. A series has one when its value changed, when the slice began, and every
five minutes; so one without a point for longer has ended. ``id`` is a hash, the same in every slice
and process. All tables of points are ordered by time, so that what is written goes to their end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

TABLES: Final = ("point", "minute", "half_hour", "two_hours", "series", "metric")
VIEW: Final = "metric_ingest"
METRIC_COLUMNS: Final = ("id", "name", "unit", "description", "kind", "bounds", "scope")
SERIES_COLUMNS: Final = ("id", "metric", "service", "resource", "instance", "attributes")
POINT_COLUMNS: Final = ("metric", "series", "time_ns", "start_ns", "value", "data")
MINUTE_NS: Final = 60_000_000_000
LENGTHS: Final = {"minute": 1, "half_hour": 30, "two_hours": 120}
"""Table of older points → how many minutes a row stands for."""


def create(number: int, guard: str) -> tuple[str, ...]:
    """The statements that make a slice's tables; ``guard`` refuses batches once it has ended."""
    point = """
            metric INTEGER NOT NULL,
            series INTEGER NOT NULL,
            time_ns INTEGER NOT NULL,
            start_ns INTEGER NOT NULL,      -- of the sum
            value NUMERIC,                  -- of a counter or gauge
            data TEXT                       -- JSON, see metric_rows.point_data
    """
    return (
        f"""
        CREATE TABLE metric_{number} (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            unit TEXT NOT NULL,
            description TEXT NOT NULL,
            kind TEXT NOT NULL,
            bounds TEXT NOT NULL,           -- JSON
            scope TEXT NOT NULL             -- JSON: name, version, schema URL, attributes
        )
        """,
        f"""
        CREATE TABLE series_{number} (
            id INTEGER PRIMARY KEY,
            metric INTEGER NOT NULL,
            service INTEGER NOT NULL,       -- text
            resource INTEGER NOT NULL,      -- text: JSON
            instance TEXT NOT NULL,         -- service.instance.id
            attributes TEXT NOT NULL        -- JSON
        )
        """,
        f"CREATE INDEX series_{number}_metric ON series_{number} (metric)",
        f"""
        CREATE TABLE point_{number} ({point},
            PRIMARY KEY (time_ns, metric, series)
        ) WITHOUT ROWID
        """,
        *(
            f"""
            CREATE TABLE {table}_{number} (
                minute INTEGER NOT NULL,        -- since the epoch
                {point},
                PRIMARY KEY (minute, metric, series, start_ns)
            ) WITHOUT ROWID
            """
            for table in LENGTHS
        ),
        f"""
        CREATE VIEW metric_ingest_{number} AS SELECT
            NULL AS texts, NULL AS metrics, NULL AS series, NULL AS points WHERE 0
        """,
        f"""
        CREATE TRIGGER metric_ingest_{number}_batch INSTEAD OF INSERT ON metric_ingest_{number}
        BEGIN

        {guard};

        INSERT INTO text_{number} (id, value)
            SELECT value ->> 0, value ->> 1 FROM json_each(NEW.texts) WHERE true
            ON CONFLICT DO NOTHING;

        INSERT INTO metric_{number} ({", ".join(METRIC_COLUMNS)})
            SELECT {_values(METRIC_COLUMNS)} FROM json_each(NEW.metrics) WHERE true
            ON CONFLICT DO NOTHING;

        INSERT INTO series_{number} ({", ".join(SERIES_COLUMNS)})
            SELECT {_values(SERIES_COLUMNS)} FROM json_each(NEW.series) WHERE true
            ON CONFLICT DO NOTHING;

        INSERT INTO point_{number} ({", ".join(POINT_COLUMNS)})
            SELECT {_values(POINT_COLUMNS)} FROM json_each(NEW.points) WHERE true
            ON CONFLICT DO UPDATE SET
                start_ns = excluded.start_ns, value = excluded.value, data = excluded.data;

        END
        """,
    )


def ingest(number: int) -> str:
    """Write one batch into a slice; the arguments are ``metric_rows.MetricRows`` in its order."""
    return f"INSERT INTO metric_ingest_{number} VALUES (?, ?, ?, ?)"


def thinned(version: int) -> tuple[str, ...]:
    """The tables of older points that a slice has: versions 2, 3 and 4 have brought one each."""
    return tuple(LENGTHS)[: version - 1]


def roll_up(number: int, tables: Iterable[str]) -> tuple[str, ...]:
    """Move the points of a minute, ``:minute``, to the tables of older ones: each series' last.

    Where a sum began anew, also the last of before: slices before version 5 don't keep it.
    """
    low, high = f":minute * {MINUTE_NS}", f"(:minute + 1) * {MINUTE_NS}"
    columns = ", ".join(POINT_COLUMNS)
    return (
        # Beside max(), SQLite takes the other columns from the row that has the maximum.
        *(
            f"""
            INSERT INTO {table}_{number} (minute, {columns})
                SELECT :minute / {LENGTHS[table]} * {LENGTHS[table]}, metric, series,
                    max(time_ns), start_ns, value, data
                FROM point_{number} WHERE time_ns >= {low} AND time_ns < {high}
                GROUP BY metric, series, start_ns
                ON CONFLICT DO UPDATE SET time_ns = excluded.time_ns,
                    start_ns = excluded.start_ns, value = excluded.value, data = excluded.data
                    WHERE excluded.time_ns >= {table}_{number}.time_ns
            """
            for table in tables
        ),
        f"DELETE FROM point_{number} WHERE time_ns >= {low} AND time_ns < {high}",
    )


def _values(columns: tuple[str, ...]) -> str:
    return ", ".join(f"value ->> {index}" for index in range(len(columns)))
