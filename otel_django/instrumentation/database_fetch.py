"""Fetching as part of a query's span.

Server-side cursors, SQLite and others do their work while rows are fetched: ``execute`` alone
showed 24 of 652 ms. So where rows come lazily, the span stays open until the cursor is exhausted
or closed and ends with the last fetch; ``django.db.fetch.duration`` says how much of it was spent
fetching, where the site's own code ran in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import time_ns
from typing import TYPE_CHECKING, Any

from otel_django import guard, names
from otel_django.instrumentation.database_recorder import mark_failed

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

    from otel_django.instrumentation.database_recorder import Recorder
    from otel_django.instrumentation.sql import Statement
    from otel_django.tracing.span import Span

_METHODS = ("fetchone", "fetchmany", "fetchall", "close")


class Fetching:
    """Stands in front of one Django cursor's fetch methods until its rows are all fetched.

    It holds the driver's cursor but not Django's, which holds it: no cycle, so that an abandoned
    cursor goes as early as it would without us. Then ``__del__`` ends the span.
    """

    _ended = True  # until it is made

    def __init__(
        self, cursor: CursorWrapper, recorder: Recorder, span: Span, statement: Statement
    ) -> None:
        self._driver: Any = cursor.cursor
        self._wrap_errors: Callable[[Any], Any] = cursor.db.wrap_database_errors
        self._recorder = recorder
        self._span = span
        self._last_ns = time_ns()
        self._execute_ns = self._last_ns - span._start_time
        self._repeat = recorder.judge(span, statement, self._execute_ns)
        self._fetch_ns = 0
        self._count = 0
        self._rows = 0
        self._slow_ns = recorder.slow_ns
        self._local = not is_named(cursor)  # a short read was the last, no round trip follows
        self._slow = self._execute_ns >= self._slow_ns
        self._ended = False
        methods = cursor.__dict__
        methods["fetchone"] = self.fetchone
        methods["fetchmany"] = self.fetchmany
        methods["fetchall"] = self.fetchall
        methods["close"] = self.close

    # --- the cursor's methods

    def fetchone(self) -> Any:
        """As the driver's, with Django's errors."""
        if self._ended:
            return self._wrap_errors(self._driver.fetchone)()
        row = self._timed(self._driver.fetchone)
        if row is None:
            self.end()
        else:
            self._rows += 1
        return row

    def fetchmany(self, *args: Any, **kwargs: Any) -> Any:
        """As the driver's, with Django's errors."""
        if self._ended:
            return self._wrap_errors(self._driver.fetchmany)(*args, **kwargs)
        rows = self._timed(self._driver.fetchmany, *args, **kwargs)
        count = len(rows)
        self._rows += count
        if not count or (args and self._local and count < args[0]):
            self.end()
        return rows

    def fetchall(self) -> Any:
        """As the driver's, with Django's errors."""
        if self._ended:
            return self._wrap_errors(self._driver.fetchall)()
        rows = self._timed(self._driver.fetchall)
        self._rows += len(rows)
        self.end()
        return rows

    def close(self) -> Any:
        """As the driver's."""
        self.end()
        return self._driver.close()

    def iterate(self, rows: Iterator[Any]) -> Iterator[Any]:
        """``for row in cursor``: timed as a whole, a clock per row would cost too much."""
        try:
            yield from rows
        finally:
            if not self._ended:
                self._last_ns = time_ns()
                self._count = 0
                self.end()

    # --- the span

    def _timed(self, fetch: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        start = time_ns()
        try:
            return self._wrap_errors(fetch)(*args, **kwargs)
        except BaseException as error:
            self._failed(error)
            raise
        finally:
            self._last_ns = now = time_ns()
            self._fetch_ns += now - start
            self._count += 1
            if not self._slow and self._execute_ns + self._fetch_ns >= self._slow_ns:
                self._became_slow()

    def _became_slow(self) -> None:
        """Look for the line of code now: where the cursor is closed may be elsewhere."""
        self._slow = True
        try:
            if not self._ended:
                self._recorder.note_caller(self._span)
        except Exception:
            guard.caught("database.caller")

    def _failed(self, error: BaseException) -> None:
        self._last_ns = time_ns()
        try:
            mark_failed(self._span, error)
        except Exception:
            guard.caught("database.fetch_failed")
        self.end()

    def end(self) -> None:
        """End the span, once, at the time of the last fetch."""
        if self._ended:
            return
        self._ended = True
        try:
            span = self._span
            if self._count > 2:  # rows, then none: nobody's code in between
                span.note(names.DJANGO_DB_FETCH_DURATION, self._fetch_ns / 1e9)
                span.note(names.DJANGO_DB_FETCH_COUNT, self._count)
            if self._count:
                span.note(names.DB_RESPONSE_RETURNED_ROWS, self._rows)
            if self._repeat is not None:
                self._repeat.total_ns += self._fetch_ns
            span.end(self._last_ns)
        except Exception:
            guard.caught("database.fetched")

    def __del__(self) -> None:
        if not self._ended:
            self.end()


def fetching_of(cursor: CursorWrapper) -> Fetching | None:
    """What stands in front of this cursor's fetch methods, if anything."""
    method = cursor.__dict__.get("fetchmany")
    found = getattr(method, "__self__", None)
    return found if type(found) is Fetching else None


def end_fetching(cursor: CursorWrapper) -> None:
    """The cursor runs something else: end its span and give it its own methods back."""
    fetching = fetching_of(cursor)
    if fetching is not None:
        fetching.end()
        for name in _METHODS:
            cursor.__dict__.pop(name, None)


def is_named(cursor: CursorWrapper) -> bool:
    """Whether it is a server-side cursor of PostgreSQL."""
    return getattr(cursor.cursor, "name", None) is not None


def returns_rows(cursor: CursorWrapper) -> bool:
    """Whether the statement just executed has rows to fetch."""
    return getattr(cursor.cursor, "description", None) is not None
