"""The time slices of a store: which one takes spans, when the next begins, which ones are there."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import Final, NamedTuple

from otel_django.store import schema

SLICES_AN_AGE: Final = 12
SLICES_A_SIZE: Final = 8
SMALLEST_SLICE_BYTES: Final = 2 * 1024 * 1024
SHORTEST_SLICE_NS: Final = 1_000_000_000


class Slice(NamedTuple):
    """A row of ``slice``."""

    id: int
    version: int
    started_ns: int
    pages_before: int
    fts: bool


class Limits(NamedTuple):
    """How much is kept."""

    age_ns: int
    size_bytes: int
    metrics_age_ns: int

    @classmethod
    def of(cls, hours: float, megabytes: float, metrics_hours: float | None = None) -> Limits:
        """In the units of settings; metrics are kept as long as the rest if nothing is said."""
        age_ns = _hours_ns(hours)
        metrics_ns = age_ns if metrics_hours is None else _hours_ns(metrics_hours)
        return cls(age_ns, int(megabytes * 1024 * 1024), min(metrics_ns, age_ns))

    @property
    def slice_age_ns(self) -> int:
        """After this long the next slice begins."""
        return max(self.age_ns // SLICES_AN_AGE, SHORTEST_SLICE_NS)

    @property
    def slice_bytes(self) -> int:
        """Above this size the next slice begins."""
        return max(self.size_bytes // SLICES_A_SIZE, SMALLEST_SLICE_BYTES)


def _hours_ns(hours: float) -> int:
    return int(hours * 3600 * 1e9)


def all_slices(connection: sqlite3.Connection) -> list[Slice]:
    """The slices that can be read, newest first."""
    rows = connection.execute(
        "SELECT id, version, started_ns, pages_before, fts FROM slice "
        "WHERE NOT dropping ORDER BY id DESC"
    )
    return [_slice(row) for row in rows]


def pages_in_use(connection: sqlite3.Connection) -> int:
    """Pages of the file that hold something."""
    total: int = connection.execute("PRAGMA page_count").fetchone()[0]
    free: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
    return total - free


def page_bytes(connection: sqlite3.Connection) -> int:
    """The size of a page."""
    size: int = connection.execute("PRAGMA page_size").fetchone()[0]
    return size


def current(
    connection: sqlite3.Connection, limits: Limits, now_ns: int, version: int, *, fts: bool
) -> Slice:
    """The slice to write to; a new one if the newest is old, large or of an older schema."""
    newest = _newest(connection)
    if newest is not None and not _is_over(connection, newest, limits, now_ns, version):
        return newest
    after = 0 if newest is None else newest.id
    return begin(connection, now_ns, version, fts=fts, after=after)


def begin(
    connection: sqlite3.Connection,
    now_ns: int,
    version: int,
    *,
    fts: bool,
    after: int | None = None,
) -> Slice:
    """A new slice; if ``after`` isn't the newest one's id any more (0: there was none), that one.

    Then another process was first.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        newest = _newest(connection)
        if after is not None and newest is not None and newest.id != after:
            connection.execute("ROLLBACK")
            return newest
        begun = _begin(connection, now_ns, version, fts=fts)
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    return begun


def _newest(connection: sqlite3.Connection) -> Slice | None:
    row = connection.execute(
        "SELECT id, version, started_ns, pages_before, fts FROM slice "
        "WHERE NOT dropping ORDER BY id DESC LIMIT 1"
    ).fetchone()
    return None if row is None else _slice(row)


def _slice(row: tuple[int, ...]) -> Slice:
    number, version, started_ns, pages_before, fts = row
    return Slice(number, version, started_ns, pages_before, bool(fts))


def _is_over(
    connection: sqlite3.Connection, newest: Slice, limits: Limits, now_ns: int, version: int
) -> bool:
    if newest.version != version or now_ns - newest.started_ns > limits.slice_age_ns:
        return True
    pages = pages_in_use(connection) - newest.pages_before
    return pages * page_bytes(connection) > limits.slice_bytes


def _begin(connection: sqlite3.Connection, now_ns: int, version: int, *, fts: bool) -> Slice:
    pages = pages_in_use(connection)
    cursor = connection.execute(
        "INSERT INTO slice (version, started_ns, pages_before, fts) VALUES (?, ?, ?, ?)",
        (version, now_ns, pages, fts),
    )
    begun = Slice(int(cursor.lastrowid or 0), version, now_ns, pages, fts)
    for statement in schema.create_slice(begun.id, fts=fts):
        connection.execute(statement)
    return begun
