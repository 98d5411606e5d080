"""What is measured of database calls, whether a trace records them or not."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final, Protocol

from otel_django import metric_definitions as metrics
from otel_django import names
from otel_django.instrumentation import query_events
from otel_django.metrics.gathering import Gathering
from otel_django.tracing.current import SPAN_KEY, SUPPRESS_KEY, get_context
from otel_django.tracing.tracer import DroppedSpan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.backends.base.base import BaseDatabaseWrapper

    from otel_django.instrumentation.caller import CallerFinder
    from otel_django.instrumentation.sql import Statement
    from otel_django.metrics.recorder import Recorder
    from otel_django.tracing.span import Span
    from otel_django.tracing.span_parts import SharedAttributes

IN_USE: Final = "_otel_django_in_use"
"""Whether a connection has run something since its request or task began."""
_Ran = tuple["SharedAttributes", int, str | None, "Span | None"]


class Unit(Protocol):
    """A request, a task or a command, of which queries are counted."""

    queries: int
    query_ns: int


def unmeasured() -> bool:
    """Whether nothing is to be measured here."""
    return bool(get_context().get(SUPPRESS_KEY))


def unrecorded_unit() -> Unit | None:
    """The unit of work that is current and isn't recorded."""
    return unit_of(get_context().get(SPAN_KEY))


def unit_of(span: Any) -> Unit | None:
    """What counts the queries of a current span, if anything does."""
    return span if type(span) is DroppedSpan else getattr(span, "_local", None)


class DatabaseMetrics:
    """The instruments of database calls. ``slow_ns``: from then on a query counts as slow.

    ``finder`` finds the code behind a slow one that no trace records.
    """

    def __init__(
        self, recorder: Recorder, slow_ns: int, finder: CallerFinder | None = None
    ) -> None:
        self._finder = finder
        self._duration = recorder.histogram(metrics.DB_CLIENT_OPERATION_DURATION)
        self._slow = recorder.counter(metrics.DJANGO_DB_SLOW_QUERIES)
        self._errors = recorder.counter(metrics.DJANGO_DB_CONNECTION_ERRORS)
        self._slow_ns = slow_ns
        self._take = Gathering(recorder, self._record).take
        self._connections: dict[int, weakref.ref[BaseDatabaseWrapper]] = {}
        recorder.gather(_nothing, self._after_fork)
        recorder.observe(metrics.DB_CLIENT_CONNECTION_COUNT, self._count_connections)

    def ran(
        self,
        statement: Statement,
        shared: SharedAttributes,
        took_ns: int,
        unit: Unit | None,
        span: Span | None = None,
        error_type: str | None = None,
    ) -> None:
        """A call is over. Reads and writes of rows count as queries of the unit."""
        if unit is not None and statement.repeatable:
            unit.queries += 1
            unit.query_ns += took_ns
        if took_ns >= self._slow_ns and span is None:
            query_events.slow(shared, took_ns, None, self._finder)
        self._take((shared, took_ns, error_type, span))

    def _record(self, calls: list[_Ran]) -> None:
        known: dict[SharedAttributes, Any] = {}
        for shared, took_ns, error_type, span in calls:
            if error_type is not None:
                duration = self._duration.at(_values(shared, error_type))
            elif shared in known:
                duration = known[shared]
            else:
                duration = known[shared] = self._duration.at(_values(shared, None))
            duration.record(took_ns / 1e9, span)
            if took_ns >= self._slow_ns:
                self._slow.add(1, (shared.values.get(names.DJANGO_DB_ALIAS),), span)

    # --- connections

    def connected(self, db: BaseDatabaseWrapper) -> None:
        """It has a connection now."""
        setattr(db, IN_USE, True)
        key = id(db)
        forget = self._connections.pop
        self._connections[key] = weakref.ref(db, lambda _: forget(key, None))

    def refused(self, db: BaseDatabaseWrapper) -> None:
        """It could not connect."""
        self._errors.add(1, (db.alias,))

    def _count_connections(self) -> Iterator[tuple[int, tuple[str, str]]]:
        counted: dict[tuple[str, str], int] = {}
        pools: dict[str, Any] = {}
        for reference in self._connections.copy().values():
            db = reference()
            if db is None:
                continue
            pool = _pool(db)
            if pool is not None:
                pools[db.alias] = pool
                continue
            for state in ("idle", "used"):
                counted.setdefault((state, db.alias), 0)
            if db.connection is not None:
                counted["used" if getattr(db, IN_USE, False) else "idle", db.alias] += 1
        for alias, pool in pools.items():
            idle = pool.get_stats().get("pool_available", 0)
            counted["idle", alias] = idle
            counted["used", alias] = pool.get_stats().get("pool_size", idle) - idle
        for key, count in counted.items():
            yield count, key

    def _after_fork(self) -> None:
        """In a forked child: the parent's connections are the parent's."""
        self._connections = {}


def _values(shared: SharedAttributes, error_type: str | None) -> tuple[Any, ...]:
    """The attributes of the operations' duration, in their order."""
    get = shared.values.get
    return (
        get(names.DB_SYSTEM_NAME),
        get(names.DB_NAMESPACE),
        get(names.DB_OPERATION_NAME),
        get(names.DB_COLLECTION_NAME),
        error_type,
    )


def _nothing() -> None:
    """Waits here."""


def _pool(db: Any) -> Any:
    """psycopg's pool, where the alias has one that is open."""
    return getattr(db, "_connection_pools", {}).get(db.alias)
