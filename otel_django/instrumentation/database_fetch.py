"""Fetching as part of a query's span.

Server-side cursors, SQLite and others do their work while rows are fetched: ``execute`` alone
showed 24 of 652 ms. So where rows come lazily, the span stays open until the cursor is exhausted
or closed and ends with the last fetch; ``django.db.fetch.duration`` says how much of it was spent
fetching, where the site's own code ran in between.

Django's cursor wrapper finds the fetch methods by ``__getattr__``. Here it gets methods of its
own, which do the same with less; what is open hangs on the cursor.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from time import time_ns
from typing import TYPE_CHECKING, Any, NoReturn

from otel_django import guard, names
from otel_django.instrumentation import query_events
from otel_django.instrumentation.database_recorder import mark_failed
from otel_django.tracing.exceptions import exception_type

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.backends.utils import CursorWrapper

    from otel_django.instrumentation.database_metrics import DatabaseMetrics, Unit
    from otel_django.instrumentation.database_recorder import Recorder
    from otel_django.instrumentation.n_plus_one import Repeat
    from otel_django.instrumentation.patching import Patches
    from otel_django.instrumentation.sql import Statement
    from otel_django.tracing.span import Span
    from otel_django.tracing.span_parts import SharedAttributes

_NEVER = sys.maxsize

_installed = False


def install(patches: Patches, wrapper: type[CursorWrapper]) -> None:
    """Give Django's cursor wrapper its methods, but for those another library gave it."""
    global _installed
    _installed = True
    patches.set(wrapper, "_otel_django_fetching", None)
    for method in (fetchone, fetchmany, fetchall, close):
        if not hasattr(wrapper, method.__name__):
            patches.set(wrapper, method.__name__, method)


def uninstall() -> None:
    """From now on the methods call straight through; who made the patches undoes them."""
    global _installed
    _installed = False


class Fetching:
    """The open span of a cursor whose rows are being fetched.

    It doesn't know the cursor, which holds it: no cycle, so that an abandoned cursor goes as early
    as it would without us. Then ``__del__`` ends the span.
    """

    __slots__ = (
        "_call",
        "_count",
        "_executed_ns",
        "_fetch_ns",
        "_last_ns",
        "_recorder",
        "_repeat",
        "_rows",
        "_slow_after_ns",
        "_span",
        "by_chunks",
    )

    def __init__(
        self,
        span: Span,
        recorder: Recorder,
        repeat: Repeat | None,
        now: int,
        call: tuple[Statement, SharedAttributes],
    ) -> None:
        self._executed_ns = executed_ns = now - span._start_time
        left_ns = recorder.slow_ns - executed_ns
        self._span: Span | None = span
        self._call = call
        self._recorder = recorder
        self._repeat = repeat
        self._last_ns = now
        self._slow_after_ns = left_ns if left_ns > 0 else _NEVER
        self._fetch_ns = self._count = self._rows = 0
        self.by_chunks = False  # of a server-side cursor: a short read needn't be the last

    def fetched(self, began_ns: int, rows: int) -> None:
        """A fetch gave so many rows, and there may be more."""
        now = time_ns()
        self._last_ns = now
        self._fetch_ns += now - began_ns
        self._count += 1
        self._rows += rows
        if self._fetch_ns >= self._slow_after_ns:
            self._became_slow()

    def finished(self, began_ns: int, rows: int) -> None:
        """A fetch gave the last rows: the span ends. Mostly it is the only one."""
        span = self._span
        if self._count or span is None:
            self.fetched(began_ns, rows)
            self.end()
            return
        now = time_ns()
        took_ns = now - began_ns
        if took_ns >= self._slow_after_ns:
            self._became_slow()
        self._span = None
        try:
            span._own[names.DB_RESPONSE_RETURNED_ROWS] = rows
            if self._repeat is not None:
                self._repeat.total_ns += took_ns
            span.end(now)
            self._tell_if_slow(span, self._executed_ns + took_ns)
            metrics = self._recorder.metrics
            if metrics is not None:
                metrics.ran(*self._call, self._executed_ns + took_ns, span._local, span)
        except Exception:
            guard.caught("database.fetched")

    def _became_slow(self) -> None:
        """Look for the line of code now: where the cursor is closed may be elsewhere."""
        self._slow_after_ns = _NEVER
        try:
            if self._span is not None:
                self._recorder.note_caller(self._span)
        except Exception:
            guard.caught("database.caller")

    def end(self, error: BaseException | None = None) -> None:
        """End the span, once, at the time of the last fetch."""
        span = self._span
        if span is None:
            return
        self._span = None
        try:
            if error is not None:
                mark_failed(span, error)
            if self._count:
                attributes = span._own
                attributes[names.DB_RESPONSE_RETURNED_ROWS] = self._rows
                if self._count > 2:  # rows, then none: nobody's code in between
                    attributes[names.DJANGO_DB_FETCH_DURATION] = self._fetch_ns / 1e9
                    attributes[names.DJANGO_DB_FETCH_COUNT] = self._count
            if self._repeat is not None:
                self._repeat.total_ns += self._fetch_ns
            span.end(self._last_ns)
            self._tell_if_slow(span, self._executed_ns + self._fetch_ns)
            metrics = self._recorder.metrics
            if metrics is not None:
                took_ns = self._executed_ns + self._fetch_ns
                error_type = None if error is None else exception_type(error)
                metrics.ran(*self._call, took_ns, span._local, span, error_type)
        except Exception:
            guard.caught("database.fetched")

    def _tell_if_slow(self, span: Span, took_ns: int) -> None:
        if took_ns >= self._recorder.slow_ns:
            query_events.slow(self._call[1], took_ns, span, None)

    def iterate(self, cursor: Any, rows: Iterator[Any]) -> Iterator[Any]:
        """``for row in cursor``: timed as a whole, a clock per row would cost too much."""
        failed: BaseException | None = None
        try:
            yield from rows
        except Exception as error:
            failed = error
            raise
        finally:
            cursor._otel_django_fetching = None
            now = time_ns()
            self._fetch_ns += now - self._last_ns
            self._last_ns = now
            self._count = 0
            self.end(failed)

    def __del__(self) -> None:
        if self._span is not None:
            self.end()


class MeasuredFetching:
    """As ``Fetching``, of a query that no trace records: what is fetched counts as its time."""

    __slots__ = ("_call", "_metrics", "_took_ns", "_unit", "by_chunks")

    def __init__(
        self,
        metrics: DatabaseMetrics,
        call: tuple[Statement, SharedAttributes],
        took_ns: int,
        unit: Unit | None,
    ) -> None:
        self._metrics: DatabaseMetrics | None = metrics
        self._call = call
        self._took_ns = took_ns
        self._unit = unit
        self.by_chunks = False

    def fetched(self, began_ns: int, rows: int) -> None:
        """A fetch gave some rows, and there may be more."""
        self._took_ns += time_ns() - began_ns

    def finished(self, began_ns: int, rows: int) -> None:
        """A fetch gave the last rows."""
        self._took_ns += time_ns() - began_ns
        self.end()

    def end(self, error: BaseException | None = None) -> None:
        """Measure, once."""
        metrics = self._metrics
        if metrics is None:
            return
        self._metrics = None
        try:
            error_type = None if error is None else exception_type(error)
            metrics.ran(*self._call, self._took_ns, self._unit, None, error_type)
        except Exception:
            guard.caught("database.fetched")

    def iterate(self, cursor: Any, rows: Iterator[Any]) -> Iterator[Any]:
        """``for row in cursor``: timed as a whole."""
        began_ns = time_ns()
        failed: BaseException | None = None
        try:
            yield from rows
        except Exception as error:
            failed = error
            raise
        finally:
            cursor._otel_django_fetching = None
            self.fetched(began_ns, 0)
            self.end(failed)

    def __del__(self) -> None:
        if self._metrics is not None:
            self.end()


Open = Fetching | MeasuredFetching


def fail(fetching: Fetching | MeasuredFetching, began_ns: int, db: BaseDatabaseWrapper) -> NoReturn:
    """Raise the exception that is being handled as Django does; the query has failed."""
    try:
        raise_as_django(db)
    except BaseException as error:
        fetching.fetched(began_ns, 0)
        fetching.end(error)
        raise


def end_fetching(cursor: Any) -> None:
    """The cursor runs something else: end its span."""
    fetching: Open | None = cursor._otel_django_fetching
    if fetching is not None:
        cursor._otel_django_fetching = None
        fetching.end()


def raise_as_django(db: BaseDatabaseWrapper) -> NoReturn:
    """Raise the exception that is being handled as Django's error of its kind."""
    with db.wrap_database_errors:
        raise  # noqa: PLE0704 - called from an except block by contract


# --- the cursor's methods: as the driver's, with Django's errors


def fetchone(self: Any) -> Any:
    fetching: Fetching | MeasuredFetching | None = (
        self._otel_django_fetching if _installed else None
    )
    if fetching is None:
        try:
            return self.cursor.fetchone()
        except BaseException:
            raise_as_django(self.db)
    began_ns = time_ns()
    try:
        row = self.cursor.fetchone()
    except BaseException:
        self._otel_django_fetching = None
        fail(fetching, began_ns, self.db)
    if row is not None:
        fetching.fetched(began_ns, 1)
    else:
        self._otel_django_fetching = None
        fetching.finished(began_ns, 0)
    return row


def fetchmany(self: Any, *args: Any, **kwargs: Any) -> Any:
    fetching: Fetching | MeasuredFetching | None = (
        self._otel_django_fetching if _installed else None
    )
    if fetching is None:
        try:
            return self.cursor.fetchmany(*args, **kwargs)
        except BaseException:
            raise_as_django(self.db)
    began_ns = time_ns()
    try:
        rows = self.cursor.fetchmany(*args, **kwargs)
    except BaseException:
        self._otel_django_fetching = None
        fail(fetching, began_ns, self.db)
    count = len(rows)
    last = not count or (bool(args) and count < args[0] and not fetching.by_chunks)
    if last:
        self._otel_django_fetching = None
        fetching.finished(began_ns, count)
    else:
        fetching.fetched(began_ns, count)
    return rows


def fetchall(self: Any) -> Any:
    fetching: Fetching | MeasuredFetching | None = (
        self._otel_django_fetching if _installed else None
    )
    if fetching is None:
        try:
            return self.cursor.fetchall()
        except BaseException:
            raise_as_django(self.db)
    began_ns = time_ns()
    self._otel_django_fetching = None
    try:
        rows = self.cursor.fetchall()
    except BaseException:
        fail(fetching, began_ns, self.db)
    fetching.finished(began_ns, len(rows))
    return rows


def close(self: Any) -> Any:
    if _installed and self._otel_django_fetching is not None:
        end_fetching(self)
    return self.cursor.close()
