"""Keeping the store within its age and size: whole slices go, in small steps.

Each step is one short transaction, so other writers wait milliseconds and readers not at all.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_django.store import metric_schema, schema, slices

if TYPE_CHECKING:
    from otel_django.store.slices import Limits, Slice

FINE_NS: Final = 3_600_000_000_000
MINUTES_A_STEP: Final = 10
LEASE_NS: Final = 60_000_000_000
VACUUM_PAGES: Final = 128
WAL_BYTES: Final = 24 * 1024 * 1024


class Retention:
    """The housekeeping of one file; any number of processes may try, one at a time does it."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self._wal = path.with_name(f"{path.name}-wal")
        self._limits = limits
        self._owner = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._wal_tried_ns = 0

    def step(self, connection: sqlite3.Connection, now_ns: int) -> bool:
        """Do one small piece of what is due; True if there may be more."""
        if not self._has_lease(connection, now_ns):
            return False
        return (
            drop_next_table(connection)
            or self._condemn_oldest(connection, now_ns)
            or self._thin_metrics(connection, now_ns)
            or self._vacuum(connection)
            or self._truncate_wal(connection, now_ns)
        )

    def _has_lease(self, connection: sqlite3.Connection, now_ns: int) -> bool:
        row = connection.execute(
            "SELECT owner, until_ns FROM lease WHERE name = 'housekeeping'"
        ).fetchone()
        if row is not None and row[0] == self._owner and row[1] > now_ns + LEASE_NS // 2:
            return True
        taken = connection.execute(
            "INSERT INTO lease VALUES ('housekeeping', ?, ?) ON CONFLICT (name) DO UPDATE "
            "SET owner = excluded.owner, until_ns = excluded.until_ns "
            "WHERE owner = excluded.owner OR until_ns < ? OR until_ns > ?",
            (self._owner, now_ns + LEASE_NS, now_ns, now_ns + 2 * LEASE_NS),
        )
        return taken.rowcount == 1

    def _condemn_oldest(self, connection: sqlite3.Connection, now_ns: int) -> bool:
        """Take the oldest slice from readers, if it is too old or the file too large."""
        kept = slices.all_slices(connection)
        if len(kept) < 2:
            return False
        oldest, next_oldest = kept[-1], kept[-2]
        used = slices.pages_in_use(connection) * slices.page_bytes(connection)
        too_old = now_ns - next_oldest.started_ns > self._limits.age_ns
        # The slice being written is allowed to grow by its share.
        too_large = used > self._limits.size_bytes - self._limits.slice_bytes
        if too_old or too_large:
            connection.execute("UPDATE slice SET dropping = 1 WHERE id = ?", (oldest.id,))
            return True
        return False

    def _thin_metrics(self, connection: sqlite3.Connection, now_ns: int) -> bool:
        """Roll up a minute that is over an hour old; drop a piece of what is past its age."""
        return any(
            self._thin_slice(connection, part, now_ns)
            for part in reversed(slices.all_slices(connection))
            if part.version >= schema.WITH_LOGS_AND_METRICS
        )

    def _thin_slice(self, connection: sqlite3.Connection, part: Slice, now_ns: int) -> bool:
        number, tables = part.id, metric_schema.thinned(part.version)
        oldest = connection.execute(f"SELECT min(time_ns) FROM point_{number}").fetchone()[0]
        if oldest is not None and oldest < now_ns - FINE_NS:
            minute = oldest // metric_schema.MINUTE_NS
            with in_transaction(connection):
                for statement in metric_schema.roll_up(number, tables):
                    connection.execute(statement, {"minute": minute})
            return True
        last_minute = (now_ns - self._limits.metrics_age_ns) // metric_schema.MINUTE_NS
        oldest = connection.execute(f"SELECT min(minute) FROM minute_{number}").fetchone()[0]
        if oldest is not None and oldest < last_minute:
            until = min(oldest + MINUTES_A_STEP, last_minute)
            for table in tables:
                length = metric_schema.LENGTHS[table]
                last = (until if length == 1 else last_minute) - length
                connection.execute(f"DELETE FROM {table}_{number} WHERE minute <= ?", (last,))
            return True
        return False

    def _vacuum(self, connection: sqlite3.Connection) -> bool:
        """Give free pages back, but for those the next slice will take anyway."""
        free: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
        spare = self._limits.slice_bytes // slices.page_bytes(connection)
        if free <= spare:
            return False
        pages = min(VACUUM_PAGES, free - spare)
        connection.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()
        return True

    def _truncate_wal(self, connection: sqlite3.Connection, now_ns: int) -> bool:
        """Shorten a log that grew while readers held on to it; if they still do, another time."""
        try:
            size = self._wal.stat().st_size
        except OSError:
            return False
        if size > WAL_BYTES and now_ns - self._wal_tried_ns > LEASE_NS // 2:
            self._wal_tried_ns = now_ns
            timeout = connection.execute("PRAGMA busy_timeout").fetchone()[0]
            connection.execute("PRAGMA busy_timeout = 0")
            try:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                connection.execute(f"PRAGMA busy_timeout = {timeout}")
        return False


@contextlib.contextmanager
def in_transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def drop_next_table(connection: sqlite3.Connection) -> bool:
    """Drop one table of a condemned slice, or its row when none is left; False: none condemned."""
    row = connection.execute("SELECT id FROM slice WHERE dropping ORDER BY id LIMIT 1").fetchone()
    if row is None:
        return False
    number: int = row[0]
    for view in schema.views(number):
        connection.execute(f"DROP VIEW IF EXISTS {view}")
    for table in schema.tables(number):
        found = connection.execute(
            "SELECT 1 FROM sqlite_master WHERE name = ?", (table,)
        ).fetchone()
        if found is not None:
            connection.execute(f"DROP TABLE {table}")
            return True
    connection.execute("DELETE FROM slice WHERE id = ?", (number,))
    return True
