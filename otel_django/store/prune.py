"""Taking old slices out of a store at once, beside processes that write to it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from otel_django.errors import StoreError
from otel_django.store import schema, slices
from otel_django.store.connection import CORRUPT_MARK, has_fts5, open_writer
from otel_django.store.fork_gate import GATE
from otel_django.store.retention import drop_next_table, in_transaction

BUSY_TIMEOUT_S: Final = 10.0


class Part(NamedTuple):
    """A slice that goes: what it holds, and from when to when it was written."""

    slice: int
    started_ns: int
    ended_ns: int
    spans: int
    logs: int
    points: int


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The store for ``parts_before`` and ``drop``; StoreError when it can't be had."""
    with GATE.using():
        try:
            connection = open_writer(path, BUSY_TIMEOUT_S)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{path} can't be opened: {error}") from error
        GATE.opened()
        try:
            yield connection
        except sqlite3.Error as error:
            raise StoreError(f"{path} can't be changed: {error}") from error
        finally:
            connection.close()
            GATE.closed()


def parts_before(connection: sqlite3.Connection, cutoff_ns: int, now_ns: int) -> list[Part]:
    """The slices that ended before a time, oldest first; at ``now_ns`` all of them."""
    found = []
    ended_ns = now_ns
    for part in slices.all_slices(connection):
        if ended_ns <= cutoff_ns:
            found.append(_part(connection, part, ended_ns))
        ended_ns = part.started_ns
    return found[::-1]


def drop(connection: sqlite3.Connection, parts: list[Part], now_ns: int) -> None:
    """Drop them and give their room back to the disk."""
    newest = slices.all_slices(connection)[0]
    if any(part.slice == newest.id for part in parts):
        # Writers go on in a new one, which they look for when this one refuses.
        slices.begin(connection, now_ns, schema.VERSION, fts=has_fts5())
    with in_transaction(connection):
        for part in parts:
            connection.execute("UPDATE slice SET dropping = 1 WHERE id = ?", (part.slice,))
    while drop_next_table(connection):
        pass
    connection.execute("PRAGMA incremental_vacuum").fetchall()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def damaged(path: Path) -> list[Path]:
    """Files that were set aside for being damaged."""
    return sorted(path.parent.glob(f"{path.name}{CORRUPT_MARK}*"))


def _part(connection: sqlite3.Connection, part: slices.Slice, ended_ns: int) -> Part:
    tables = ["span"]
    if part.version >= schema.WITH_LOGS_AND_METRICS:
        tables += ["log", "point", "minute"]
    counts = {
        table: connection.execute(f"SELECT count(*) FROM {table}_{part.id}").fetchone()[0]
        for table in tables
    }
    points = counts.get("point", 0) + counts.get("minute", 0)
    return Part(part.id, part.started_ns, ended_ns, counts["span"], counts.get("log", 0), points)
