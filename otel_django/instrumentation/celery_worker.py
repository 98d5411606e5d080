"""The worker's main process tells of the tasks that couldn't tell of themselves.

A task that was revoked, expired or refused never ran; one whose process was killed, by a time
limit, a revocation or from outside, never came to its end. For each the main process makes the
``process`` span, once. So that what such a run did record hangs below it, the span's ids are fixed
when the message is received and travel to the child with the task (``EXECUTION``); a run that ends
there by itself uses them for its own span.

This works where tasks run in child processes. In other pools a run always ends its own span, and
only tasks that never ran are told of here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from time import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from opentelemetry.context import Context

from otel_django import guard, names
from otel_django.instrumentation import task_events
from otel_django.instrumentation.celery_execution import (
    FAILURE,
    REVOKED,
    Executions,
    execution_ids,
)
from otel_django.instrumentation.celery_message import EXECUTION, custom_headers
from otel_django.instrumentation.on_import import when_imported
from otel_django.tracing.current import SPAN_KEY, reset_context, set_context
from otel_django.tracing.exceptions import exception_type
from otel_django.tracing.tracer import RECORDED

if TYPE_CHECKING:
    from otel_django.instrumentation.patching import Patches
    from otel_django.tracing.span import Span

_UID: Final = "otel_django-worker"
_TOLD: Final = "_otel_django_told"
REJECTED: Final = "REJECTED"
TERMINATED: Final = "billiard.exceptions.Terminated"
WORKER_LOST: Final = "billiard.exceptions.WorkerLostError"
NOT_REGISTERED: Final = "celery.exceptions.NotRegistered"

_watch: Watch | None = None
_has_children = False
"""A pool of child processes has been started in this process: they run the tasks."""


class Outcome(NamedTuple):
    """How a task ended that its own process didn't tell of; ``reason`` is that of a revocation."""

    state: str
    error_type: str | None = None
    exception: BaseException | None = None
    reason: str | None = None


class Watch:
    """The main process's view of its tasks."""

    def __init__(self, executions: Executions) -> None:
        self._executions = executions
        self._bits = executions.tracer.id_generator.bits
        self.measures = executions.metrics is not None

    def new_ids(self) -> str:
        """A trace id, for a run that begins a trace, and a span id."""
        return self._bits(192).to_bytes(24, "big").hex()  # half of what formatting takes

    def begin(self, request: Any, outcome: Outcome) -> Span | None:
        """The span of a request that won't tell of itself, complete but for its end.

        None for one that was told of before, or isn't sampled.
        """
        if vars(request).get(_TOLD):
            return None
        setattr(request, _TOLD, True)
        return self._span(
            request.task.app,
            request.task.name,
            request.request_dict,
            request.delivery_info,
            request.hostname,
            outcome,
            request.time_start,
        )

    def refuse(self, consumer: Any, message: Any, outcome: Outcome) -> None:
        """Tell of a message that can't become a task; of something else than a task, nothing."""
        fields = _fields(message)
        name = fields.get("task")
        if not isinstance(name, str) or not name:
            return
        delivery = {
            **(message.delivery_info or {}),
            "priority": (message.properties or {}).get("priority"),
        }
        metrics = self._executions.metrics
        if metrics is not None:
            shape = self._executions.shape(consumer.app, name, consumer.hostname, delivery)
            metrics.consumed(shape.shared.values, outcome.error_type)
        span = self._span(consumer.app, name, fields, delivery, consumer.hostname, outcome)
        if span is not None:
            span.end()

    def _span(
        self,
        app: Any,
        name: str,
        fields: Mapping[str, Any],
        delivery: Mapping[str, Any],
        hostname: Any,
        outcome: Outcome,
        started_s: float | None = None,
    ) -> Span | None:
        executions = self._executions
        headers = custom_headers(fields)
        origin = executions.origin(headers, fields.get("eta"), started_s or time())
        if started_s is None:
            origin = origin._replace(queue_wait_s=None)
        shape = executions.shape(app, name, hostname, delivery)
        span = executions.span(
            shape,
            fields,
            delivery,
            origin,
            (0, 0) if started_s is None else execution_ids(fields),
            None if started_s is None else int(started_s * 1e9),
        )
        recorded = type(span) in RECORDED
        shared = shape.shared.values
        start_ns = None if started_s is None else int(started_s * 1e9)
        if executions.metrics is not None:
            executions.metrics.executed(
                shared, outcome.state, start_ns, outcome.error_type, span if recorded else None
            )
        task_events.ended(
            shared,
            fields.get("id"),
            outcome.state,
            span,
            origin.request_id,
            start_ns,
            outcome.exception,
            outcome.error_type,
            {names.CELERY_TASK_REVOKE_REASON: outcome.reason},
        )
        if not recorded:
            return None
        _describe(span, outcome)
        return cast("Span", span)

    def received(self, request: Any) -> None:
        """A message has become a request."""
        executions = self._executions
        shared = executions.shape(
            request.task.app, request.name, request.hostname, request.delivery_info
        ).shared.values
        if executions.metrics is not None:
            executions.metrics.consumed(shared)
        task_events.received(shared, request.id)


def _describe(span: Span, outcome: Outcome) -> None:
    span.note(names.CELERY_TASK_STATE, outcome.state)
    if outcome.reason is not None:
        span.note(names.CELERY_TASK_REVOKE_REASON, outcome.reason)
    if outcome.exception is not None:
        span.record_exception(outcome.exception)
    if outcome.error_type is not None:
        span.fail(outcome.error_type)


def _fields(message: Any) -> Mapping[str, Any]:
    """A message's headers, or its body where an old protocol keeps there what describes it."""
    headers = message.headers or {}
    if "task" in headers:
        return headers
    try:
        body = message.payload
    except Exception:  # it can't be decoded
        return {}
    return {**body, "headers": headers} if isinstance(body, Mapping) else {}


def _cut_off(request: Any, exc: BaseException) -> Outcome | None:
    """What became of a run whose process didn't report a result, None if it has told itself."""
    from billiard.einfo import ExceptionWithTraceback  # type: ignore[attr-defined]
    from celery.exceptions import Terminated, TimeLimitExceeded, WorkerLostError

    if isinstance(exc, ExceptionWithTraceback):
        exc = exc.exc
    killed = isinstance(exc, (Terminated, TimeLimitExceeded, WorkerLostError))
    if isinstance(exc, Exception) and not killed:
        return None
    if request._already_cancelled:  # the worker shuts down, or has lost its broker
        return Outcome(FAILURE, TERMINATED)
    if request._already_revoked or isinstance(exc, Terminated):
        return Outcome(REVOKED, TERMINATED, reason="terminated")
    return Outcome(FAILURE, exception_type(exc), exc)


def install(executions: Executions, patches: Patches) -> Callable[[], None]:
    """Watch the tasks of a worker once its modules are imported; returns the undoing."""
    global _watch
    _watch = Watch(executions)
    takers = (
        when_imported("celery.worker.request", lambda: _patch_request(patches)),
        when_imported("celery.worker.consumer.consumer", lambda: _patch_consumer(patches)),
        when_imported("celery.concurrency.prefork", lambda: _patch_pool(patches)),
    )

    def undo() -> None:
        global _watch
        _watch = None
        for take_back in takers:
            take_back()

    return undo


# --- requests


def _patch_request(patches: Patches) -> None:
    from celery.worker.request import Request

    if not patches.holds(Request, "on_failure"):
        patches.wrap(Request, "__init__", _init)
        patches.wrap(Request, "on_failure", _on_failure)
        patches.wrap(Request, "_announce_revoked", _announce_revoked)


def _init(original: Callable[..., Any]) -> Callable[..., Any]:
    """A task has come in: fix the ids of its run, if a child process will run it.

    (``task_received`` would say the same, at five times the cost.)
    """

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        watch = _watch
        if watch is not None:
            if _has_children:
                self._request_dict[EXECUTION] = watch.new_ids()
            else:
                self._request_dict.pop(EXECUTION, None)
            if watch.measures or task_events.tells(logging.DEBUG):
                try:
                    watch.received(self)
                except Exception:
                    guard.caught("celery.received")

    return init


def _on_failure(original: Callable[..., Any]) -> Callable[..., Any]:
    """The pool's word on a run that failed; with ``return_ok`` the child has returned a result."""

    def on_failure(
        self: Any, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> Any:
        span = None if return_ok else _begun(self, exc_info)
        return _within(span, original, self, exc_info, send_failed_event, return_ok)

    return on_failure


def _begun(request: Any, exc_info: Any) -> Span | None:
    watch = _watch
    if watch is None or EXECUTION not in request.request_dict:
        return None
    with guard.guarded("celery.cut_off"):
        outcome = _cut_off(request, exc_info.exception)
        return None if outcome is None else watch.begin(request, outcome)
    return None


def _announce_revoked(original: Callable[..., Any]) -> Callable[..., Any]:
    """A task is given up. One that runs is told of when it has come to its end."""

    def announce_revoked(self: Any, reason: str, *args: Any, **kwargs: Any) -> Any:
        span = None
        if _watch is not None and self.time_start is None:
            with guard.guarded("celery.revoked"):
                span = _watch.begin(self, Outcome(REVOKED, reason=reason))
        return _within(span, original, self, reason, *args, **kwargs)

    return announce_revoked


def _within(span: Span | None, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call ``original`` with the span current: what it publishes or stores hangs below it."""
    if span is None:
        return original(*args, **kwargs)
    token = set_context(Context({SPAN_KEY: span}))
    try:
        return original(*args, **kwargs)
    finally:
        reset_context(token)
        span.end()


# --- messages that don't become requests


def _patch_consumer(patches: Patches) -> None:
    from celery.signals import task_rejected, task_unknown
    from celery.worker.consumer.consumer import Consumer

    task_unknown.connect(_unknown, weak=False, dispatch_uid=_UID)
    task_rejected.connect(_rejected, weak=False, dispatch_uid=_UID)
    if not patches.holds(Consumer, "on_decode_error"):
        patches.wrap(Consumer, "on_decode_error", _on_decode_error)


def _unknown(*, sender: Any = None, message: Any = None, **_: Any) -> None:
    _refuse(sender, message, Outcome(FAILURE, NOT_REGISTERED))


def _rejected(*, sender: Any = None, message: Any = None, exc: Any = None, **_: Any) -> None:
    if exc is not None:  # else it is no task's message
        _refuse(sender, message, Outcome(REJECTED, exception_type(exc)))


def _on_decode_error(original: Callable[..., Any]) -> Callable[..., Any]:
    def on_decode_error(self: Any, message: Any, exc: BaseException) -> Any:
        _refuse(self, message, Outcome(REJECTED, exception_type(exc)))
        return original(self, message, exc)

    return on_decode_error


def _refuse(consumer: Any, message: Any, outcome: Outcome) -> None:
    if _watch is not None:
        with guard.guarded("celery.refused"):
            _watch.refuse(consumer, message, outcome)


# --- the pool's end


def _patch_pool(patches: Patches) -> None:
    from celery.concurrency.prefork import TaskPool

    if not patches.holds(TaskPool, "on_start"):
        patches.wrap(TaskPool, "on_start", _starting)
    for name, error_type in (("on_stop", WORKER_LOST), ("on_terminate", TERMINATED)):
        if not patches.holds(TaskPool, name):
            patches.wrap(TaskPool, name, _ending(Outcome(FAILURE, error_type)))


def _starting(original: Callable[..., Any]) -> Callable[..., Any]:
    def start(self: Any) -> Any:
        global _has_children
        _has_children = True
        return original(self)

    return start


def _ending(outcome: Outcome) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """When the pool is gone, nobody will hear any more of the runs it has no result of."""

    def wrapped(original: Callable[..., Any]) -> Callable[..., Any]:
        def end(self: Any) -> Any:
            pool = self._pool
            try:
                return original(self)
            finally:
                if _watch is not None and pool is not None:
                    with guard.guarded("celery.pool_ended"):
                        _tell_unfinished(_watch, pool, outcome)

        return end

    return wrapped


def _tell_unfinished(watch: Watch, pool: Any, outcome: Outcome) -> None:
    for job in list(pool._cache.values()):
        request = getattr(job._accept_callback, "__self__", None)
        if job.accepted() and not job.ready() and hasattr(request, "request_dict"):
            span = watch.begin(request, outcome)
            if span is not None:
                span.end()
