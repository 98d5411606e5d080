"""One read of the embedded store: a read-only connection at one moment, with a deadline."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from otel_django.backends.embedded_memory import MEMORY, size_bytes
from otel_django.errors import ReadError, ReadTimeoutError, StoreError
from otel_django.store import schema, slices
from otel_django.store.connection import cause, check_sqlite
from otel_django.store.fork_gate import GATE

if TYPE_CHECKING:
    from otel_django.store.slices import Slice

TIMEOUT_S: Final = 2.0
STEPS_A_LOOK: Final = 20_000  # of SQLite's virtual machine, a millisecond or so
CACHE_KIB: Final = 8_192


class Session:
    """``slices`` are newest first; ``run`` raises TimeoutError past the deadline."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, found: list[Slice], deadline_s: float
    ) -> None:
        self._path = path
        self._connection = connection
        self.slices = found
        self._deadline_s = deadline_s
        connection.set_progress_handler(self._is_late, STEPS_A_LOOK)

    def _is_late(self) -> int:
        return int(time.monotonic() > self._deadline_s)

    def run(
        self, sql: str, arguments: tuple[Any, ...] | Mapping[str, Any] = ()
    ) -> list[tuple[Any, ...]]:
        """All rows of a statement."""
        if self._is_late():
            raise TimeoutError
        try:
            return self._connection.execute(sql, arguments).fetchall()
        except sqlite3.OperationalError as error:
            if "interrupted" in str(error):
                raise TimeoutError from error
            raise

    def run_in(
        self, part: Slice, sql: str, arguments: tuple[str | int, ...] = ()
    ) -> Sequence[tuple[Any, ...]]:
        """All rows of a statement that reads one slice only: kept once that has ended."""
        if not self.has_ended(part):
            return self.run(sql, arguments)
        asked = (self.key(part), sql, arguments)
        rows: Sequence[tuple[Any, ...]] | None = MEMORY.get(asked)
        if rows is None:
            rows = tuple(self.run(sql, arguments))
            MEMORY.put(asked, rows, size_bytes(rows, sql))
        return rows

    def has_ended(self, part: Slice) -> bool:
        """Whether nobody writes to it any more: the next one has begun."""
        return part.id != self.slices[0].id

    def key(self, part: Slice) -> tuple[Path, int, int]:
        """What tells a slice from all others, of other stores too."""
        return (self._path, part.id, part.started_ns)

    def extend(self, seconds: float) -> None:
        """Grant time to finish an answer that was cut short."""
        self._deadline_s = max(self._deadline_s, time.monotonic() + seconds)


@contextlib.contextmanager
def session(path: Path, timeout_s: float) -> Iterator[Session]:
    """A moment of the store; without a file it is an empty one."""
    try:
        check_sqlite()
        with GATE.using(), _connection(path, timeout_s) as connection:
            connection.execute("BEGIN")
            found = _slices(connection, path)
            yield Session(path, connection, found, time.monotonic() + timeout_s)
    except TimeoutError as error:
        raise ReadTimeoutError(
            f"the store had no answer within {timeout_s:g} s: ask for a shorter range"
        ) from error
    except StoreError as error:
        raise ReadError(str(error)) from error
    except sqlite3.Error as error:
        raise ReadError(f"{path} can't be read: {error}{_cure(error)}") from error


class StoreReader:
    """Reads the store at ``path``; cheap to make. Without a file there is nothing to read."""

    def __init__(self, path: Path, timeout_s: float = TIMEOUT_S) -> None:
        self.path = path
        self._timeout_s = timeout_s

    def _session(self) -> contextlib.AbstractContextManager[Session]:
        return session(self.path, self._timeout_s)


def _cure(error: sqlite3.Error) -> str:
    if cause(error) != "corrupt":
        return ""
    return ". It will be put aside, and a new one begun, when the site next writes to it"


class _Kept:
    """The connection of several reads; a fork that comes between two of them closes it."""

    def __init__(self) -> None:
        self._connection: sqlite3.Connection | None = None
        self._path: Path | None = None
        self.is_used = False

    def connection(self, path: Path, timeout_s: float) -> sqlite3.Connection:
        if self._connection is None or path != self._path:
            self.release()
            self._path = path if _exists(path) else None
            self._connection = _open(path, timeout_s)
            GATE.opened(self)
        return self._connection

    def release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
            GATE.closed()


_kept: ContextVar[_Kept | None] = ContextVar("otel_django_kept_connection", default=None)


@contextlib.contextmanager
def one_connection() -> Iterator[None]:
    """Reads within share a connection: to open one, SQLite reads all there is of tables."""
    kept = _Kept()
    token = _kept.set(kept)
    try:
        yield
    finally:
        _kept.reset(token)
        with contextlib.suppress(StoreError), GATE.using():
            kept.release()


@contextlib.contextmanager
def _connection(path: Path, timeout_s: float) -> Iterator[sqlite3.Connection]:
    shared = _kept.get()
    kept = _Kept() if shared is None or shared.is_used else shared
    kept.is_used = True
    try:
        connection = kept.connection(path, timeout_s)
        yield connection
        connection.set_progress_handler(None, 0)
        connection.rollback()
    except BaseException:
        kept.release()
        raise
    finally:
        kept.is_used = False
        if kept is not shared:
            kept.release()


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise StoreError(f"{path} can't be read: {error.strerror}") from error
    return True


def _open(path: Path, timeout_s: float) -> sqlite3.Connection:
    if not _exists(path):
        return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    try:
        return _open_uri(f"file:{quote(str(path.absolute()))}?mode=ro", timeout_s)
    except sqlite3.OperationalError:
        # On a read-only disk SQLite can't make its shared memory; nobody writes there either.
        if path.with_name(f"{path.name}-wal").exists():
            raise
        return _open_uri(f"file:{quote(str(path.absolute()))}?immutable=1", timeout_s)


def _open_uri(uri: str, timeout_s: float) -> sqlite3.Connection:
    # A fork on another thread may close it, between reads.
    connection = sqlite3.connect(
        uri, uri=True, timeout=timeout_s, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA user_version").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _slices(connection: sqlite3.Connection, path: Path) -> list[Slice]:
    if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        return []
    if connection.execute("PRAGMA application_id").fetchone()[0] != schema.APPLICATION_ID:
        raise StoreError(f"{path} is another program's database: check OTEL_DJANGO_STORE")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > schema.VERSION:
        raise StoreError(
            f"{path} was written by a newer otel_django (schema {version}, this one knows "
            f"{schema.VERSION}): upgrade"
        )
    return slices.all_slices(connection)
