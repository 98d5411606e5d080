"""A connection to PostgreSQL that is never waited for any longer than it may take.

Its drivers wait for two seconds at least, and once connected for ever. So connecting and asking go
by libpq's own steps, between which the waiting is ours.
"""

from __future__ import annotations

import selectors
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from otel_django.health.database_errors import refused
from otel_django.health.failure_words import NO_ANSWER, in_words
from otel_django.health.results import CheckError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_NOT_LIBPQ: Final = frozenset(
    {
        "autocommit",
        "connection_factory",
        "context",
        "cursor_factory",
        "prepare_threshold",
        "row_factory",
    }
)
"""Parameters of the driver's connections, not of the library below."""


@contextmanager
def session(
    params: Mapping[str, Any], timeout_s: float
) -> Iterator[Callable[[str], list[tuple[Any, ...]]]]:
    """Connect, by Django's connection parameters; the block is done within ``timeout_s``.

    Raises:
        CheckError: it can't be reached, a statement failed, or the time is up.
    """
    deadline_s = monotonic() + timeout_s
    plain = {name: value for name, value in params.items() if name not in _NOT_LIBPQ}
    try:
        from django.db.backends.postgresql.psycopg_any import is_psycopg3

        connection = (_Psycopg3 if is_psycopg3 else _Psycopg2)(plain, deadline_s)
    except CheckError:
        raise
    except Exception as error:
        raise CheckError(in_words(error)) from error
    try:
        yield connection.rows
    finally:
        connection.close()


class _Psycopg3:
    def __init__(self, params: dict[str, Any], deadline_s: float) -> None:
        from psycopg import conninfo, pq

        self._pq = pq
        self._deadline_s = deadline_s
        self._connection = pq.PGconn.connect_start(conninfo.make_conninfo(**params).encode())
        try:
            self._connect()
            self._connection.nonblocking = 1
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        polling, connection = self._pq.PollingStatus, self._connection
        while connection.status != self._pq.ConnStatus.BAD:
            status = connection.connect_poll()
            if status == polling.OK:
                return
            if status == polling.FAILED:
                break
            _wait(connection.socket, self._deadline_s, write=status == polling.WRITING)
        raise CheckError(in_words(ConnectionError(_text(connection.error_message))))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """All of them, as text."""
        connection = self._connection
        try:
            connection.send_query(_ended_by_server(sql, self._deadline_s).encode())
            while connection.flush():
                _wait(connection.socket, self._deadline_s, write=True)
            found = list(self._results())
        except CheckError:
            raise
        except Exception as error:
            raise CheckError(in_words(error)) from error
        for result in found:
            if result.status not in {
                self._pq.ExecStatus.TUPLES_OK,
                self._pq.ExecStatus.COMMAND_OK,
            }:
                sqlstate = result.error_field(self._pq.DiagnosticField.SQLSTATE)
                raise refused(RuntimeError(_text(result.error_message)), _text(sqlstate or b""))
        return [row for result in found for row in _values(result)]

    def _results(self) -> Iterator[Any]:
        connection = self._connection
        while True:
            while connection.is_busy():
                _wait(connection.socket, self._deadline_s)
                connection.consume_input()
            result = connection.get_result()
            if result is None:
                return
            yield result

    def close(self) -> None:
        self._connection.finish()


class _Psycopg2:
    def __init__(self, params: dict[str, Any], deadline_s: float) -> None:
        import psycopg2

        self._deadline_s = deadline_s
        self._connection = psycopg2.connect(async_=True, **params)
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def _wait(self) -> None:
        from psycopg2.extensions import POLL_OK, POLL_WRITE

        while (state := self._connection.poll()) != POLL_OK:
            _wait(self._connection.fileno(), self._deadline_s, write=state == POLL_WRITE)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(_ended_by_server(sql, self._deadline_s))
                self._wait()
                return [] if cursor.description is None else cursor.fetchall()
        except CheckError:
            raise
        except Exception as error:
            raise refused(error, getattr(error, "pgcode", None)) from error

    def close(self) -> None:
        self._connection.close()


def _ended_by_server(sql: str, deadline_s: float) -> str:
    """One that waits for a lock doesn't notice that its client is gone."""
    left_ms = max(1, round((deadline_s - monotonic()) * 1000))
    return f"SET LOCAL statement_timeout = {left_ms}; {sql}"


def _wait(descriptor: int, deadline_s: float, *, write: bool = False) -> None:
    left_s = deadline_s - monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_WRITE if write else selectors.EVENT_READ)
        if left_s <= 0 or not selector.select(left_s):
            raise CheckError(NO_ANSWER)


def _values(result: Any) -> Iterator[tuple[Any, ...]]:
    for row in range(result.ntuples):
        values = (result.get_value(row, column) for column in range(result.nfields))
        yield tuple(None if value is None else bytes(value).decode() for value in values)


def _text(message: bytes) -> str:
    return message.decode(errors="replace")
