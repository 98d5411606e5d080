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
    query_events,
)
from otel_django.instrumentation.database_fetch import (
    Fetching,
    MeasuredFetching,
    end_fetching,
)
from otel_django.instrumentation.database_metrics import unit_of
from otel_django.instrumentation.database_recorder import Call, Recorder, connection_of
from otel_django.instrumentation.patching import Patches
from otel_django.instrumentation.sql import Statement
from otel_django.tracing.current import SPAN_KEY, SUPPRESS_KEY, get_context

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

    from otel_django.conf import Settings
    from otel_django.instrumentation.database_connection import Connection
    from otel_django.instrumentation.database_metrics import DatabaseMetrics
    from otel_django.metrics.recorder import Recorder as MetricsRecorder
    from otel_django.tracing.limits import Plain
    from otel_django.tracing.span import Span
    from otel_django.tracing.span_parts import SharedAttributes
    from otel_django.tracing.tracer import Tracer

_CLIENT = SpanKind.CLIENT
_BY_CHUNKS = 2
"""Rows of a server-side cursor: a short read needn't be the last."""

_recorder: Recorder | None = None


class DatabaseInstrumentation:
    """Patches Django's database layer; every alias and backend goes through it.

    Without ``spans`` calls are only measured.
    """

    def __init__(self, *, spans: bool = True) -> None:
        self._spans = spans
        self._patches = Patches()
        self._installed = False
        self._metrics: MetricsRecorder | None = None

    def measure_with(self, recorder: MetricsRecorder) -> None:
        """Measure calls, too, from the next ``install`` on."""
        self._metrics = recorder

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Patch; a second call changes nothing."""
        global _recorder
        if _recorder is not None:
            return
        from django.db.backends.base.base import BaseDatabaseWrapper
        from django.db.backends.utils import CursorWrapper

        self._installed = True
        recorder = _recorder = Recorder(tracer, settings, self._metrics, spans=self._spans)
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


def _execute(  # noqa: C901 - on every query: one function
    original: Callable[..., Any],
) -> Callable[..., Any]:
    def execute(self: Any, sql: Any, params: Any = None) -> Any:
        recorder = _recorder
        if recorder is None:
            return original(self, sql, params)
        if self._otel_django_fetching is not None:
            end_fetching(self)
        parent = recorder.parent()
        if parent is None:
            if recorder.metrics is None:
                return original(self, sql, params)
            return _measured(original, recorder, recorder.metrics, self, sql, params)
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
            recorder.fail(Call(statement, shared, span, span._local, span._start_time), error)
            raise
        _executed(self, connection, recorder, span, statement, shared)
        return result

    return execute


def _measured(
    original: Callable[..., Any],
    recorder: Recorder,
    metrics: DatabaseMetrics,
    cursor: Any,
    sql: Any,
    params: Any,
) -> Any:
    """Execute what no trace records."""
    context = get_context()
    if context.get(SUPPRESS_KEY):
        return original(cursor, sql, params)
    try:
        unit = unit_of(context.get(SPAN_KEY))
        db = cursor.db
        connection: Connection = db.__dict__.get("_otel_django_connection") or connection_of(db)
        if type(sql) is str:
            texts = connection.statements
            statement = texts.young.get(sql) or texts.get(sql)
        else:
            statement = recorder.statement(db, sql)
        ready_for, shared = statement.shared
        if shared is None or ready_for is not connection:
            shared = connection.share(statement)
        start_ns = time_ns()
    except Exception:
        guard.caught("database.execute")
        return original(cursor, sql, params)
    try:
        result = original(cursor, sql, params)
    except BaseException as error:
        recorder.fail(Call(statement, shared, None, unit, start_ns), error)
        raise
    try:
        took_ns = time_ns() - start_ns
        db._otel_django_in_use = True
        fetching = _fetches(connection, cursor.cursor)
        if fetching:
            opened = MeasuredFetching(metrics, (statement, shared), took_ns, unit)
            opened.by_chunks = fetching == _BY_CHUNKS
            cursor._otel_django_fetching = opened
        else:
            metrics.ran(statement, shared, took_ns, unit)
    except Exception:
        guard.caught("database.executed")
    return result


def _fetches(connection: Connection, driver: Any) -> int:
    """Whether rows arrive while they are fetched: 0, 1 or ``_BY_CHUNKS``."""
    if connection.names_cursors and getattr(driver, "name", None) is not None:
        return _BY_CHUNKS
    return int(connection.fetches and getattr(driver, "description", None) is not None)


def _executed(
    cursor: Any,
    connection: Connection,
    recorder: Recorder,
    span: Span,
    statement: Statement,
    shared: SharedAttributes,
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
        metrics = recorder.metrics
        if metrics is not None:
            cursor.db._otel_django_in_use = True
        fetching = _fetches(connection, cursor.cursor)
        if fetching:
            opened = Fetching(span, recorder, repeat, now, (statement, shared))
            opened.by_chunks = fetching == _BY_CHUNKS
            cursor._otel_django_fetching = opened
        else:
            span.end(now)
            if took_ns >= recorder.slow_ns:
                query_events.slow(shared, took_ns, span, None)
            if metrics is not None:
                metrics.ran(statement, shared, took_ns, span._local, span)
    except Exception:
        guard.caught("database.executed")


def _executemany(original: Callable[..., Any]) -> Callable[..., Any]:
    def executemany(self: CursorWrapper, sql: Any, param_list: Any) -> Any:
        recorder = _recorder
        if recorder is None or not recorder.wants_calls():
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
            begun = recorder.begin(self.db, statement, more)
        except Exception:
            guard.caught("database.executemany")
            return original(self, sql, param_list)
        return _recorded(recorder, begun, original, self, sql, param_list)

    return executemany


def _recorded(recorder: Recorder, begun: Call, call: Callable[..., Any], *args: Any) -> Any:
    try:
        result = call(*args)
    except BaseException as error:
        recorder.fail(begun, error)
        raise
    try:
        recorder.end(begun)
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
        recorder = _recorder
        if recorder is None or not recorder.wants_calls():
            return original(self, procname, *args, **kwargs)
        try:
            end_fetching(self)
            statement = _procedure(procname if isinstance(procname, str) else "procedure")
            begun = recorder.begin(self.db, statement)
        except Exception:
            guard.caught("database.callproc")
            return original(self, procname, *args, **kwargs)

        def call() -> Any:
            return original(self, procname, *args, **kwargs)

        return _recorded(recorder, begun, call)

    return callproc


def _iterate(original: Callable[..., Any]) -> Callable[..., Any]:
    def __iter__(self: Any) -> Iterator[Any]:  # noqa: N807 - stands for the method
        rows: Iterator[Any] = original(self)
        fetching: Fetching | MeasuredFetching | None = (
            None if _recorder is None else self._otel_django_fetching
        )
        return rows if fetching is None else fetching.iterate(self, rows)

    return __iter__
