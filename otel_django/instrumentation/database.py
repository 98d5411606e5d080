"""Spans for what Django sends to databases, through class-level patches of its cursor wrapper.

One span a call: ``execute``, ``executemany``, ``callproc``, server-side cursors with their
fetches, COPY, connect, begin, commit, rollback and savepoints. Users' ``execute_wrapper``s,
``connection.queries`` and ``assertNumQueries`` see what they saw before. Where nothing records, a
call costs one look at the current span.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import SpanKind

from otel_django import guard, names
from otel_django.instrumentation import (
    database_fetch,
    database_postgresql,
    database_transactions,
)
from otel_django.instrumentation.database_fetch import Fetching, end_fetching
from otel_django.instrumentation.database_recorder import Recorder, connection_of
from otel_django.instrumentation.patching import Patches
from otel_django.instrumentation.sql import Statement
from otel_django.tracing.current import recording_span

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

    from otel_django.conf import Settings
    from otel_django.instrumentation.database_connection import Connection
    from otel_django.tracing.limits import Plain
    from otel_django.tracing.span import Span
    from otel_django.tracing.tracer import Tracer

_CLIENT = SpanKind.CLIENT

_recorder: Recorder | None = None


class DatabaseInstrumentation:
    """Patches Django's database layer; every alias and backend goes through it."""

    def __init__(self) -> None:
        self._patches = Patches()
        self._installed = False

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Patch; a second call changes nothing."""
        global _recorder
        if _recorder is not None:
            return
        from django.db.backends.base.base import BaseDatabaseWrapper
        from django.db.backends.utils import CursorWrapper

        self._installed = True
        recorder = _recorder = Recorder(tracer, settings)
        patches = self._patches
        patches.wrap(CursorWrapper, "execute", _execute)
        patches.wrap(CursorWrapper, "executemany", _executemany)
        patches.wrap(CursorWrapper, "callproc", _callproc)
        patches.wrap(CursorWrapper, "__iter__", _iterate)
        database_fetch.install(patches, CursorWrapper)
        database_postgresql.install(patches, recorder, CursorWrapper)
        database_transactions.install(patches, recorder, BaseDatabaseWrapper)

    def uninstall(self) -> None:
        """Put Django's own methods back."""
        global _recorder
        if not self._installed:
            return
        self._installed = False
        self._patches.undo()
        database_transactions.uninstall()
        database_postgresql.uninstall()
        database_fetch.uninstall()
        _recorder = None


def _execute(original: Callable[..., Any]) -> Callable[..., Any]:
    def execute(self: Any, sql: Any, params: Any = None) -> Any:
        recorder = _recorder
        if recorder is None:
            return original(self, sql, params)
        if self._otel_django_fetching is not None:
            end_fetching(self)
        parent = recording_span()
        if parent is None:
            return original(self, sql, params)
        try:
            db = self.db
            try:
                connection: Connection = db._otel_django_connection
            except AttributeError:
                connection = connection_of(db)
            if type(sql) is str:
                texts = connection.statements
                statement = texts.young.get(sql) or texts.get(sql)
            else:
                statement = recorder.statement(db, sql)
            ready_for, shared = statement.shared
            if shared is None or ready_for is not connection:
                shared = connection.share(statement)
            span = recorder.begin_alike(statement.name, _CLIENT, shared, {}, parent)
        except Exception:
            guard.caught("database.execute")
            return original(self, sql, params)
        try:
            result = original(self, sql, params)
        except BaseException as error:
            recorder.fail(span, statement, error)
            raise
        _executed(self, connection, recorder, span, statement)
        return result

    return execute


def _executed(
    cursor: Any, connection: Connection, recorder: Recorder, span: Span, statement: Statement
) -> None:
    """End the span, or let it wait for the fetches where those do the work."""
    try:
        now = time_ns()
        took_ns = now - span._start_time
        repeated = span._local.statements
        if repeated is not None and statement.repeatable and took_ns < recorder.slow_ns:
            repeat = repeated.add(statement, took_ns, span)  # what ``judge`` does then
        else:
            repeat = recorder.judge(span, statement, took_ns)
        driver = cursor.cursor
        if connection.names_cursors and getattr(driver, "name", None) is not None:
            fetching = Fetching(span, recorder, repeat, now)
            fetching.by_chunks = True
            cursor._otel_django_fetching = fetching
        elif connection.fetches and getattr(driver, "description", None) is not None:
            cursor._otel_django_fetching = Fetching(span, recorder, repeat, now)
        else:
            span.end(now)
    except Exception:
        guard.caught("database.executed")


def _executemany(original: Callable[..., Any]) -> Callable[..., Any]:
    def executemany(self: CursorWrapper, sql: Any, param_list: Any) -> Any:
        parent = recording_span()
        recorder = _recorder
        if parent is None or recorder is None:
            return original(self, sql, param_list)
        try:
            end_fetching(self)
            statement = recorder.statement(self.db, sql)
            size = len(param_list) if hasattr(param_list, "__len__") else 0
            if size > 1:
                statement = _batch(statement)
            more: dict[str, Plain] | None = (
                {names.DB_OPERATION_BATCH_SIZE: size} if size > 1 else None
            )
            span = recorder.begin(self.db, statement, parent, more)
        except Exception:
            guard.caught("database.executemany")
            return original(self, sql, param_list)
        return _recorded(recorder, span, statement, original, self, sql, param_list)

    return executemany


def _recorded(
    recorder: Recorder,
    span: Span,
    statement: Statement,
    call: Callable[..., Any],
    *args: Any,
) -> Any:
    try:
        result = call(*args)
    except BaseException as error:
        recorder.fail(span, statement, error)
        raise
    try:
        recorder.end(span, statement)
    except Exception:
        guard.caught("database.end")
    return result


@lru_cache(maxsize=256)
def _batch(statement: Statement) -> Statement:
    """The semantic conventions' naming of batches."""
    operation = f"BATCH {statement.operation}" if statement.operation else "BATCH"
    summary = f"BATCH {statement.summary}" if statement.summary else "BATCH"
    return Statement(
        operation, statement.collection, summary[:255], statement.text, statement.fingerprint
    )


@lru_cache(maxsize=256)
def _procedure(name: str) -> Statement:
    statement = Statement("CALL", "", f"CALL {name}"[:255], "", f"CALL {name}")
    statement.attributes[names.DB_STORED_PROCEDURE_NAME] = name
    return statement


def _callproc(original: Callable[..., Any]) -> Callable[..., Any]:
    def callproc(self: CursorWrapper, procname: Any, *args: Any, **kwargs: Any) -> Any:
        parent = recording_span()
        recorder = _recorder
        if parent is None or recorder is None:
            return original(self, procname, *args, **kwargs)
        try:
            end_fetching(self)
            statement = _procedure(procname if isinstance(procname, str) else "procedure")
            span = recorder.begin(self.db, statement, parent)
        except Exception:
            guard.caught("database.callproc")
            return original(self, procname, *args, **kwargs)

        def call() -> Any:
            return original(self, procname, *args, **kwargs)

        return _recorded(recorder, span, statement, call)

    return callproc


def _iterate(original: Callable[..., Any]) -> Callable[..., Any]:
    def __iter__(self: Any) -> Iterator[Any]:  # noqa: N807 - stands for the method
        rows: Iterator[Any] = original(self)
        fetching: Fetching | None = None if _recorder is None else self._otel_django_fetching
        return rows if fetching is None else fetching.iterate(self, rows)

    return __iter__
