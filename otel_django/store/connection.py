"""Opening the store for writing: folder, file, schema; what to do with a file that isn't ours."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path
from typing import Final, Literal

from otel_django.errors import StoreError
from otel_django.private_folder import PRIVATE_FILE, make_private_folder
from otel_django.store import schema

CORRUPT_MARK: Final = ".corrupt-"
WAL_LIMIT_BYTES: Final = 16 * 1024 * 1024
STALE_LOCK_S: Final = 30.0

Cause = Literal["busy", "full", "read_only", "corrupt", "slice", "other"]

_CAUSES: Final[tuple[tuple[str, Cause], ...]] = (
    (schema.SLICE_ENDED, "slice"),
    ("no such table", "slice"),
    ("locked", "busy"),
    ("disk is full", "full"),
    ("disk I/O error", "full"),
    ("readonly", "read_only"),
    ("unable to open database file", "read_only"),
    ("malformed", "corrupt"),
    ("not a database", "corrupt"),
)


def cause(error: Exception) -> Cause:
    """What a SQLite error means for a writer; by its text, which all Pythons have."""
    if isinstance(error, sqlite3.Error):
        text = str(error)
        if "malformed JSON" in text:
            return "other"
        for part, found in _CAUSES:
            if part in text:
                return found
    return "other"


def check_sqlite(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> None:
    """StoreError if this Python's SQLite is too old."""
    if version < schema.SQLITE_FLOOR:
        floor, found = (".".join(map(str, v)) for v in (schema.SQLITE_FLOOR, version))
        raise StoreError(
            f"the embedded store needs SQLite {floor} or newer, this Python has {found}: "
            "use a newer Python, or set OTEL_DJANGO_STORE=off"
        )


def has_fts5() -> bool:
    """Whether this Python's SQLite can search by words."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        try:
            connection.execute("CREATE VIRTUAL TABLE f USING fts5(text, content='', detail=none)")
        except sqlite3.OperationalError:
            return False
    return True


def open_writer(
    path: Path,
    busy_timeout_s: float,
    migrations: tuple[tuple[str, ...], ...] = schema.MIGRATIONS,
) -> sqlite3.Connection:
    """A connection to the store, which is made if there is none and brought to our version.

    StoreError for a file that isn't ours or is newer than we are: it is left as it is. A damaged
    file raises sqlite3.DatabaseError (``cause`` says "corrupt"); see ``set_aside``.
    """
    check_sqlite()
    _make_file(path)
    connection = sqlite3.connect(
        path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False
    )
    try:
        _set_up(connection, path, migrations)
    except BaseException:
        connection.close()
        raise
    return connection


def _make_file(path: Path) -> None:
    make_private_folder(path.parent)
    with contextlib.suppress(FileExistsError):
        # SQLite gives the files beside it the same mode.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, PRIVATE_FILE))


def _set_up(
    connection: sqlite3.Connection, path: Path, migrations: tuple[tuple[str, ...], ...]
) -> None:
    version = _own_version(connection, path, len(migrations))
    if version == 0:
        # Both must come before the first table.
        connection.execute(f"PRAGMA page_size = {schema.PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreError(f"{path} lies on a file system without shared memory: choose another")
    for pragma in (
        "synchronous = NORMAL",
        "cache_size = -2000",
        "secure_delete = OFF",
        f"journal_size_limit = {WAL_LIMIT_BYTES}",
    ):
        connection.execute(f"PRAGMA {pragma}")
    if version < len(migrations):
        _migrate(connection, path, migrations)


def _own_version(connection: sqlite3.Connection, path: Path, newest: int) -> int:
    """The file's schema version, 0 for a new one."""
    # In this order: a process that makes the store meanwhile commits all three at once, so
    # whoever has seen its tables finds its mark too.
    has_tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != schema.APPLICATION_ID:
        if has_tables or application:
            raise StoreError(
                f"{path} is another program's database: set OTEL_DJANGO_STORE to a file of its own"
            )
        return 0
    if version > newest:
        raise StoreError(
            f"{path} was written by a newer otel_django (schema {version}, this one knows "
            f"{newest}): upgrade, or set OTEL_DJANGO_STORE to another file"
        )
    return version


def _migrate(
    connection: sqlite3.Connection, path: Path, migrations: tuple[tuple[str, ...], ...]
) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _own_version(connection, path, len(migrations))  # another process was first?
        for step in migrations[version:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def file_id(path: Path) -> tuple[int, int] | None:
    """What tells a file from one that took its place; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def set_aside(path: Path, damaged: tuple[int, int] | None, now_ns: int) -> Path | None:
    """Rename a damaged store so that a new one can begin; None if another process has done so.

    Of earlier ones that were set aside only the newest is kept.
    """
    lock = path.with_name(f"{path.name}.lock")
    try:
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_RDWR, PRIVATE_FILE))
    except FileExistsError:
        with contextlib.suppress(OSError):
            if time.time() - lock.stat().st_mtime > STALE_LOCK_S:
                lock.unlink()
        return None
    try:
        if file_id(path) != damaged:
            return None
        for old in path.parent.glob(f"{path.name}{CORRUPT_MARK}*"):
            old.unlink()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_ns / 1e9))
        target = path.with_name(f"{path.name}{CORRUPT_MARK}{stamp}")
        path.rename(target)
        for ending in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                path.with_name(path.name + ending).rename(f"{target}{ending}")
        return target
    finally:
        lock.unlink(missing_ok=True)
