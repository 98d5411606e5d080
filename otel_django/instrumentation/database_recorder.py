"""Begins and ends the spans of database calls; shared by the patches of one installation."""

from __future__ import annotations

import functools
from time import time_ns
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.trace import SpanKind

from otel_django import guard, names
from otel_django.instrumentation import query_events
from otel_django.instrumentation.caller import CallerFinder
from otel_django.instrumentation.database_connection import Connection, describe
from otel_django.instrumentation.database_metrics import (
    DatabaseMetrics,
    unmeasured,
    unrecorded_unit,
)
from otel_django.instrumentation.n_plus_one import KnownLines, Repeat, RepeatedStatements
from otel_django.instrumentation.span_limits import are_narrow, begin_within
from otel_django.instrumentation.sql import UNKNOWN, Statement
from otel_django.tracing.current import recording_span
from otel_django.tracing.exceptions import driver_code, exception_type
from otel_django.tracing.local_trace import LocalTrace

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.backends.base.base import BaseDatabaseWrapper

    from otel_django.conf import Settings
    from otel_django.instrumentation.database_metrics import Unit
    from otel_django.metrics.recorder import Recorder as MetricsRecorder
    from otel_django.tracing.limits import Plain
    from otel_django.tracing.span import Span
    from otel_django.tracing.span_parts import SharedAttributes
    from otel_django.tracing.tracer import Tracer

_CLIENT = SpanKind.CLIENT
_KNOWN = "_otel_django_connection"


def connection_of(db: BaseDatabaseWrapper) -> Connection:
    """What is known of Django's connection; looked up once for each time it connects."""
    known: Connection | None = db.__dict__.get(_KNOWN)
    if known is None:
        known = db.__dict__[_KNOWN] = describe(db)
    return known


def forget_connection(db: BaseDatabaseWrapper) -> None:
    """It connects anew, perhaps elsewhere."""
    db.__dict__.pop(_KNOWN, None)


class Call(NamedTuple):
    """A database call that goes on; ``span`` is None where no trace records it."""

    statement: Statement
    shared: SharedAttributes
    span: Span | None
    unit: Unit | None
    start_ns: int


class Recorder:
    """Makes the spans. Its ``end`` judges whether a statement was slow or is repeated.

    ``slow_ns``: a statement that takes so long tells its line of code. Without ``spans`` calls are
    only measured.
    """

    def __init__(
        self,
        tracer: Tracer,
        settings: Settings,
        metrics: MetricsRecorder | None = None,
        *,
        spans: bool = True,
    ) -> None:
        self.parent: Callable[[], Span | None] = recording_span if spans else _nobody
        """The span below which a call is recorded."""
        self.begin_alike = (
            functools.partial(begin_within, tracer) if are_narrow(settings) else tracer.begin_alike
        )
        """As the tracer's, within the limits."""
        self.slow_ns = int(settings.slow_query_s * 1e9)
        self._threshold = settings.n_plus_one
        self._finder = CallerFinder(settings.base_dir)
        self.metrics = (
            None if metrics is None else DatabaseMetrics(metrics, self.slow_ns, self._finder)
        )
        self._known_lines = KnownLines(self._finder)

    def statement(self, db: BaseDatabaseWrapper, sql: Any) -> Statement:
        """What ``sql`` says: a text, bytes or one of psycopg's composed objects."""
        cache = connection_of(db).statements
        if isinstance(sql, str):
            return cache.get(sql)
        text = _as_text(db, sql)
        return UNKNOWN if text is None else cache.get(text)

    def wants_calls(self) -> bool:
        """Whether calls that are made here are recorded or measured."""
        return self.parent() is not None or (self.metrics is not None and not unmeasured())

    def begin(
        self,
        db: BaseDatabaseWrapper,
        statement: Statement,
        more: dict[str, Plain] | None = None,
    ) -> Call:
        """A call that is wanted, with a client span, not current, where it is recorded."""
        connection = connection_of(db)
        ready_for, shared = statement.shared
        if shared is None or ready_for is not connection:
            shared = connection.share(statement)
        parent = self.parent()
        if parent is None:
            return Call(statement, shared, None, unrecorded_unit(), time_ns())
        span = self.begin_alike(statement.name, _CLIENT, shared, more or {}, parent)
        return Call(statement, shared, span, span._local, span._start_time)

    def end(self, call: Call, error_type: str | None = None) -> None:
        """The call is over: judge it, end its span, measure it."""
        now = time_ns()
        took_ns = now - call.start_ns
        if call.span is not None:
            self.judge(call.span, call.statement, took_ns)
            call.span.end(now)
            if took_ns >= self.slow_ns:
                query_events.slow(call.shared, took_ns, call.span, None)
        if self.metrics is not None:
            self.metrics.ran(call.statement, call.shared, took_ns, call.unit, call.span, error_type)

    def judge(self, span: Span, statement: Statement, duration_ns: int) -> Repeat | None:
        """Tell the line of code of a slow statement; count it, if it may be repeated."""
        try:
            if duration_ns >= self.slow_ns:
                self.note_caller(span)
            if statement.repeatable and self._threshold:
                found: RepeatedStatements | None = span._local.statements
                if found is None:
                    found = self._repeated(span._local)
                return found.add(statement, duration_ns, span)
        except Exception:
            guard.caught("database.judge")
        return None

    def _repeated(self, local: LocalTrace) -> RepeatedStatements:
        found = local.statements = RepeatedStatements(self._threshold, self._known_lines, local)
        return found

    def note_caller(self, span: Span) -> None:
        """Tell the project's line of code that runs the statement."""
        if names.CODE_FILE_PATH not in span._own:
            caller = self._finder.find()
            if caller is not None:
                span._own.update(caller.attributes())

    def fail(self, call: Call, error: BaseException) -> None:
        """The call has failed; of the driver's error only type and code are told."""
        try:
            if call.span is not None:
                mark_failed(call.span, error)
            elif isinstance(call.unit, LocalTrace):
                call.unit.errors = True
            self.end(call, exception_type(error))
        except Exception:
            guard.caught("database.fail")


def _nobody() -> None:
    """Nothing is recorded."""


def mark_failed(span: Span, error: BaseException) -> None:
    """Type and SQLSTATE or error number. Never the message: drivers quote rows in it."""
    span.fail(exception_type(error))
    code = driver_code(error)
    if code is not None:
        span.note(names.DB_RESPONSE_STATUS_CODE, code)


def _as_text(db: BaseDatabaseWrapper, sql: Any) -> str | None:
    """The SQL of what isn't a string, or None where it can't be rendered without the driver."""
    if isinstance(sql, bytes | bytearray):
        try:
            return sql.decode()
        except UnicodeDecodeError:
            return None
    render = getattr(sql, "as_string", None)
    try:
        return None if render is None else str(render(db.connection))
    except Exception:
        return None  # the driver will say what is wrong with it
