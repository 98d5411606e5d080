"""Spans for connect, BEGIN, COMMIT and ROLLBACK; savepoints are statements like any other.

``commit`` and ``rollback`` are patched where no backend overrides them (MySQL and Oracle override
the underscored ones below). BEGIN is told for what Django asks for: some drivers send it with the
first statement only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from otel_django import guard
from otel_django.instrumentation import database_postgresql
from otel_django.instrumentation.database_metrics import IN_USE
from otel_django.instrumentation.database_recorder import connection_of, forget_connection
from otel_django.instrumentation.sql import command
from otel_django.tracing import current

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from otel_django.instrumentation.database_recorder import Recorder
    from otel_django.instrumentation.patching import Patches

_recorder: Recorder | None = None


def install(patches: Patches, recorder: Recorder, wrapper: type[BaseDatabaseWrapper]) -> None:
    """Patch Django's connection."""
    global _recorder
    _recorder = recorder
    patches.set(wrapper, IN_USE, False)
    patches.wrap(wrapper, "connect", _connect)
    patches.wrap(wrapper, "close_if_unusable_or_obsolete", _between_units)
    patches.wrap(wrapper, "set_autocommit", _set_autocommit)
    patches.wrap(wrapper, "commit", lambda original: _ending("COMMIT", original))
    patches.wrap(wrapper, "rollback", lambda original: _ending("ROLLBACK", original))


def uninstall() -> None:
    """Forget the recorder; the patches are undone by who made them."""
    global _recorder
    _recorder = None


def _connect(original: Callable[..., Any]) -> Callable[..., Any]:
    def connect(self: BaseDatabaseWrapper) -> Any:
        recorder = _recorder
        forget_connection(self)
        database_postgresql.patch_debug_cursor(self)
        if recorder is None or not recorder.wants_calls():
            return original(self)
        return _connect_recorded(self, recorder, original)

    return connect


def _connect_recorded(
    db: BaseDatabaseWrapper, recorder: Recorder, original: Callable[..., Any]
) -> Any:
    """The connection's own set-up queries become children of the span."""
    statement = command("CONNECT")
    metrics = recorder.metrics
    try:
        call = recorder.begin(db, statement)
        token = None if call.span is None else current.attach(call.span)
    except Exception:
        guard.caught("database.connect")
        return original(db)
    try:
        result = original(db)
    except BaseException as error:
        if token is not None:
            current.detach(token)
        recorder.fail(call, error)
        if metrics is not None:
            metrics.refused(db)
        raise
    try:
        if token is not None:
            current.detach(token)
        forget_connection(db)  # now the driver knows where it is connected to
        connection = connection_of(db)
        if call.span is not None:
            call.span._attributes.update(connection.attributes)
        recorder.end(call._replace(shared=connection.share(statement)))
        if metrics is not None:
            metrics.connected(db)
    except Exception:
        guard.caught("database.connected")
    return result


def _between_units(original: Callable[..., Any]) -> Callable[..., Any]:
    """Django looks at its connections where a request or task begins and where it ends."""

    def close_if_unusable_or_obsolete(self: BaseDatabaseWrapper) -> Any:
        setattr(self, IN_USE, False)
        return original(self)

    return close_if_unusable_or_obsolete


def _set_autocommit(original: Callable[..., Any]) -> Callable[..., Any]:
    def set_autocommit(
        self: BaseDatabaseWrapper, autocommit: bool, *args: Any, **kwargs: Any
    ) -> Any:
        recorder = _recorder
        if (
            recorder is None
            or not recorder.wants_calls()
            or autocommit
            or not self.autocommit
            or self.in_atomic_block
            or hasattr(self, "_start_transaction_under_autocommit")  # SQLite executes a BEGIN
        ):
            return original(self, autocommit, *args, **kwargs)
        self.ensure_connection()  # what comes next anyway, but no part of BEGIN

        def begin() -> Any:
            return original(self, autocommit, *args, **kwargs)

        return _recorded("BEGIN", self, recorder, begin)

    return set_autocommit


def _ending(verb: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def end_transaction(self: BaseDatabaseWrapper) -> Any:
        recorder = _recorder
        if recorder is None or self.connection is None or not recorder.wants_calls():
            return original(self)
        return _recorded(verb, self, recorder, lambda: original(self))

    return end_transaction


def _recorded(
    verb: str, db: BaseDatabaseWrapper, recorder: Recorder, call: Callable[[], Any]
) -> Any:
    try:
        begun = recorder.begin(db, command(verb))
    except Exception:
        guard.caught(f"database.{verb}")
        return call()
    try:
        result = call()
    except BaseException as error:
        recorder.fail(begun, error)
        raise
    try:
        recorder.end(begun)
    except Exception:
        guard.caught(f"database.{verb}")
    return result
