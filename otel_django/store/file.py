"""The embedded store's file as one process has it open: connection, slice, faults, housekeeping."""

from __future__ import annotations

import errno
import logging
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from otel_django import guard
from otel_django.clock import SYSTEM_CLOCK, Clock
from otel_django.errors import StoreError
from otel_django.store import connection as opening
from otel_django.store import schema, slices
from otel_django.store.error_rows import SeenExceptions
from otel_django.store.fork_gate import GATE
from otel_django.store.retention import Retention

if TYPE_CHECKING:
    from otel_django.store.slices import Limits, Slice

BUSY_TIMEOUT_S: Final = 0.25
BUSY_RETRY_S: Final = 0.2
FULL_RETRY_S: Final = 5.0
LOOK_AFTER_S: Final = 1.0
HOUSEKEEPING_S: Final = 15.0
MORE_HOUSEKEEPING_S: Final = 0.05

Verdict = Literal["again", "retry", "off", "unfit"]
"""Of an error: try again at once; at ``retry_at_s``; never; or what was to be written is unfit."""

_logger = logging.getLogger(guard.LOGGER_NAME)


class Target(NamedTuple):
    """Where a batch goes. ``generation`` changes with the slice, in whatever file it is."""

    connection: sqlite3.Connection
    slice: int
    generation: int


class StoreFile:
    """One connection to the store at ``path``, shared by the writers of all signals.

    The file is made when the first of them asks for its ``target``. On a read-only disk, or when
    the file isn't ours, the store is off: ``problem`` says why, and the log has it once. One thread
    at a time, inside ``GATE.using()``.

    Args:
        path: the file; its folder is made when missing.
        limits: how much is kept; the file may exceed its size for a moment.
        fts: whether to index words; None: if this SQLite can.
    """

    def __init__(
        self,
        path: Path,
        limits: Limits,
        *,
        clock: Clock = SYSTEM_CLOCK,
        fts: bool | None = None,
        migrations: tuple[tuple[str, ...], ...] = schema.MIGRATIONS,
    ) -> None:
        self.path = path
        self.problem: str | None = None
        self.exceptions = SeenExceptions()
        self.retry_at_s = 0.0
        self._limits = limits
        self._clock = clock
        self._fts = fts
        self._migrations = migrations
        self._said: set[str] = set()
        self._connection: sqlite3.Connection | None = None
        self._generation = 0
        self._forget()
        self._look_at_s = self._housekeeping_at_s = 0.0

    def _forget(self) -> None:
        self._slice: Slice | None = None
        self._file_id: tuple[int, int] | None = None
        self._retention = Retention(self.path, self._limits)
        self._generation += 1

    def target(self) -> Target:
        """Where the next batch goes; raises what ``judge`` knows."""
        connection = self._open()
        now_s = self._clock.monotonic_s()
        if self._slice is None or now_s >= self._look_at_s:
            connection, self._slice = self._look(connection)
            self._look_at_s = now_s + LOOK_AFTER_S
        return Target(connection, self._slice.id, self._generation)

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            if self._fts is None:
                self._fts = opening.has_fts5()
            self._connection = opening.open_writer(self.path, BUSY_TIMEOUT_S, self._migrations)
            GATE.opened(self)
            self._file_id = opening.file_id(self.path)
        return self._connection

    def _look(self, connection: sqlite3.Connection) -> tuple[sqlite3.Connection, Slice]:
        """Once a second: is the file still there, is the slice still the one to write to?"""
        if opening.file_id(self.path) != self._file_id:
            self.release()
            self._forget()
            connection = self._open()
        found = slices.current(
            connection,
            self._limits,
            self._clock.now_ns(),
            len(self._migrations),
            fts=bool(self._fts),
        )
        if self._slice is None or found.id != self._slice.id:
            self._generation += 1
        return connection, found

    def release(self) -> None:
        """Close the connection; whoever needs it next opens it again."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            try:
                connection.close()
            except sqlite3.Error:
                guard.caught("store.close")
            finally:
                GATE.closed()

    def after_fork(self) -> None:
        """In a child: the parent's connection was closed before."""
        self._connection = None
        self._forget()

    # --- when it fails

    def judge(self, error: Exception, signal: str) -> Verdict:
        """What an error means for a batch of ``signal``."""
        found = _cause(error)
        if found == "slice":
            self._slice = None
            return self._newer_schema()
        if found == "busy":
            self.retry_at_s = self._clock.monotonic_s() + BUSY_RETRY_S
            return "retry"
        if found == "full":
            self.say(f"the disk is full or failing; {signal} wait a little, then are lost", error)
            self.retry_at_s = self._clock.monotonic_s() + FULL_RETRY_S
            self._slice = None
            self.release()
            return "retry"
        if found == "read_only":
            return self._switch_off(f"{self.path} can't be written: {error}")
        if found == "corrupt":
            return self._set_aside(error)
        if isinstance(error, StoreError):
            return self._switch_off(str(error))
        return "unfit"

    def _newer_schema(self) -> Verdict:
        """The slice ended; perhaps because a newer version of ours migrated the file."""
        if self._connection is None:
            return "again"
        try:
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.Error:
            return "again"
        if version <= len(self._migrations):
            return "again"
        return self._switch_off(f"{self.path} is written by a newer otel_django (schema {version})")

    def _set_aside(self, error: Exception) -> Verdict:
        """Begin a new file; what was in the damaged one can still be looked at."""
        damaged = self._file_id or opening.file_id(self.path)
        self.release()
        self._forget()
        target = opening.set_aside(self.path, damaged, self._clock.now_ns())
        if target is not None:
            text = f"{self.path} was damaged and is now {target.name}; a new store has begun"
            _logger.warning("%s (%s)", text, error)
            return "again"
        # Another process is at it, or has done it.
        self.retry_at_s = self._clock.monotonic_s() + BUSY_RETRY_S
        return "retry"

    def _switch_off(self, problem: str) -> Verdict:
        self.problem = problem
        self.release()
        _logger.error("the embedded store is off: %s", problem)
        return "off"

    def say(self, text: str, error: Exception) -> None:
        """Log once a text and process."""
        if text not in self._said:
            self._said.add(text)
            _logger.warning("embedded store %s: %s (%s)", self.path, text, error)

    # --- housekeeping

    def keep_house(self, now_s: float) -> float | None:
        """Begin the next slice when due, do a step of retention; seconds until the next."""
        if self._slice is None:
            return None
        if now_s >= self._housekeeping_at_s:
            more = self._step()
            self._housekeeping_at_s = now_s + (MORE_HOUSEKEEPING_S if more else HOUSEKEEPING_S)
        return self._housekeeping_at_s - now_s

    def _step(self) -> bool:
        """One step of retention; True if there may be more to do at once."""
        try:
            with GATE.using():
                connection, self._slice = self._look(self._open())
                return self._retention.step(connection, self._clock.now_ns())
        except (sqlite3.Error, OSError, StoreError) as error:
            if _cause(error) == "corrupt":
                self._set_aside(error)
            elif _cause(error) not in {"busy", "slice"}:
                self.say("housekeeping failed", error)
            return False


def _cause(error: Exception) -> opening.Cause:
    if isinstance(error, OSError):
        return "full" if error.errno in {errno.ENOSPC, errno.EDQUOT} else "read_only"
    return opening.cause(error)
