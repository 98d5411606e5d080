"""Running a Celery task: one CONSUMER span around the function that Celery runs it with.

It is the child of the span that sent the task; the root of a trace of its own, linked to that
span, where the task was delayed for long or came from beat. That function runs in the process and
thread of the task, in every pool; what a worker's main process knows of tasks that never ran to
their end is told by ``celery_worker``. (Celery's signals before and after a run cost more than the
span does.)
"""

from __future__ import annotations

import functools
import logging
import sys
from binascii import unhexlify
from collections.abc import Mapping
from time import time_ns
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from otel_django import guard, names
from otel_django.instrumentation import task_events, unit_of_work
from otel_django.instrumentation.celery_life import child_is_stopped
from otel_django.instrumentation.celery_message import (
    BEAT_ENTRY,
    EXECUTION,
    REQUEST_ID,
    SENT_AT,
    add_lineage,
    broker_attributes,
    carrier_of,
    custom_headers,
    destination,
    timestamp,
)
from otel_django.instrumentation.on_import import when_imported
from otel_django.tracing import request_id
from otel_django.tracing.carrier import TRACEPARENT
from otel_django.tracing.current import SPAN_KEY, attach, detach, get_context, set_context
from otel_django.tracing.exceptions import exception_type
from otel_django.tracing.span_parts import SharedAttributes
from otel_django.tracing.tracer import RECORDED

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Token

    from opentelemetry.trace import SpanContext

    from otel_django.conf import Settings
    from otel_django.instrumentation.celery_metrics import TaskMetrics
    from otel_django.instrumentation.patching import Patches
    from otel_django.tracing.limits import Plain
    from otel_django.tracing.span import Span
    from otel_django.tracing.tracer import Tracer

_RUNNING: Final = "otel_django-celery-run"
_OURS: Final = "_otel_django"
_MOST_SHAPES: Final = 4096
_NEW_IDS: Final = (0, 0)
_NO_WAIT_S: Final = 1e12
_from_bytes = int.from_bytes
_new_tuple = tuple.__new__
"""Makes a named tuple in less than half the time that its class takes."""
_CONSUMER = SpanKind.CONSUMER
_INTERNAL = SpanKind.INTERNAL
SUCCESS: Final = "SUCCESS"
FAILURE: Final = "FAILURE"
RETRY: Final = "RETRY"
REVOKED: Final = "REVOKED"
IGNORED: Final = "IGNORED"
_STOPPED_GREENLET: Final = "greenlet.GreenletExit"
"""How the gevent pool stops a task that is revoked while it runs."""

_executions: Executions | None = None


class Origin(NamedTuple):
    """What a message says about who sent it, and when."""

    parent: SpanContext | None
    link: SpanContext | None
    baggage: Context
    queue_wait_s: float | None
    request_id: str | None
    beat_entry: str | None


class Run(NamedTuple):
    """A task that is being run: its span, and what was current before it.

    ``watched``: should it be cut off, the worker's main process ends its span. ``shared`` is what
    is told of all runs of its task, None for one that runs in place; ``request_id`` that of the
    request which caused it.
    """

    span: Any
    token: Token[Context]
    watched: bool = False
    shared: Mapping[str, Any] | None = None
    start_ns: int = 0
    request_id: str | None = None


class Shape(NamedTuple):
    """What all runs of one task from one queue by one worker have in common."""

    span_name: str
    shared: SharedAttributes


class Executions:
    """What all runs of tasks in this process share."""

    def __init__(
        self, tracer: Tracer, settings: Settings, metrics: TaskMetrics | None = None
    ) -> None:
        self.tracer = tracer
        self.metrics = metrics
        self._carrier = carrier_of(settings.propagators)
        self._link_after_s = settings.celery_link_after_s
        self._shapes: dict[tuple[str, Any, Any, Any], Shape] = {}

    def origin(self, headers: Mapping[str, Any], eta: object, now_s: float) -> Origin:
        """Read a message's custom headers; the task starts at ``now_s`` (epoch)."""
        remote, baggage = self._carrier.extract(headers)
        get = headers.get
        sent_s = get(SENT_AT)
        queue_wait_s = None
        apart = False
        if type(sent_s) is float or type(sent_s) is int:
            queue_wait_s = now_s - sent_s
            apart = queue_wait_s > self._link_after_s
            if eta is not None:
                queue_wait_s = now_s - max(sent_s, timestamp(eta) or 0.0)
            if not 0.0 <= queue_wait_s < _NO_WAIT_S:
                # Clocks apart, or a header that is no time.
                queue_wait_s = 0.0 if queue_wait_s < 0.0 else None
        entry = get(BEAT_ENTRY)
        if entry is not None:
            apart = True
            entry = str(entry)
        given_id = get(REQUEST_ID)
        return _new_tuple(
            Origin,
            (
                None if apart else remote,
                remote if apart else None,
                baggage,
                queue_wait_s,
                given_id if type(given_id) is str else None,
                entry,
            ),
        )

    def span(
        self,
        shape: Shape,
        fields: Mapping[str, Any],
        delivery: Mapping[str, Any],
        origin: Origin,
        ids: tuple[int, int] = _NEW_IDS,
        start_time: int | None = None,
    ) -> Any:
        """The run's span, not made current; ``ids`` are the trace's (for a root) and its own."""
        tracer = self.tracer
        own: dict[str, Plain] = {}
        whole = tracer.straight is None or tracer.asks_sampler
        if whole:  # somebody looks at the span from its beginning
            own.update(shape.shared.values)
            _tell(own, fields, delivery, origin)
        span: Any = tracer.begin_local_root(
            shape.span_name,
            _CONSUMER,
            own,
            origin.parent,
            start_time,
            trace_id=ids[0],
            span_id=ids[1],
        )
        if type(span) in RECORDED:
            if not whole:
                span._shared = shape.shared
                _tell(own, fields, delivery, origin)
            if origin.link is not None:
                span.add_link(origin.link)
            span._local.request_id = origin.request_id
        return span

    def shape(self, app: Any, name: str, hostname: Any, delivery: Mapping[str, Any]) -> Shape:
        """What all runs have in common of a task from one queue."""
        key = (name, hostname, delivery.get("exchange"), delivery.get("routing_key"))
        return self._shapes.get(key) or self._learn(app, key)

    def _learn(self, app: Any, key: tuple[str, Any, Any, Any]) -> Shape:
        name, hostname, exchange, routing_key = key
        shared: dict[str, Plain] = {
            names.CELERY_TASK_NAME: name,
            names.MESSAGING_OPERATION_NAME: names.PROCESS_SPAN,
            names.MESSAGING_OPERATION_TYPE: names.PROCESS_SPAN,
            names.MESSAGING_SYSTEM: broker_attributes(app)[names.MESSAGING_SYSTEM],
            names.MESSAGING_DESTINATION_NAME: destination(
                exchange, routing_key, app.amqp.queues.values()
            ),
        }
        if hostname:
            shared[names.CELERY_WORKER] = str(hostname)
        shape = Shape(f"{names.PROCESS_SPAN} {name}", SharedAttributes(shared))
        if len(self._shapes) < _MOST_SHAPES:
            self._shapes[key] = shape
        return shape

    def begin(self, task: Any, fields: Mapping[str, Any]) -> Run | None:
        """A task is about to run on this thread: make its span current.

        ``fields`` are what Celery calls the request: the message's headers and its delivery.
        """
        if fields.get("is_eager"):
            return self._begin_eager(task, fields)
        if get_context().get(_RUNNING) == id(fields):
            return None  # called by another library's wrapper, which one of ours has called
        headers = fields if TRACEPARENT in fields else custom_headers(fields)
        start_ns = time_ns()
        origin = self.origin(headers, fields.get("eta"), start_ns / 1e9)
        ids = execution_ids(headers)
        delivery = fields.get("delivery_info") or {}
        shape = self.shape(task.app, task.name, fields.get("hostname"), delivery)
        span = self.span(shape, fields, delivery, origin, ids, start_ns)
        shared = shape.shared.values
        if self.metrics is not None:
            self.metrics.started(id(fields), shared, origin.queue_wait_s, span)
        if task_events.tells(logging.DEBUG):
            task_events.started(
                shared, fields.get("id"), span, origin.request_id, origin.queue_wait_s
            )
        # A context of its own: neither the worker's nor, in a pool that shares the thread with
        # the consumer, its suppression of tracing.
        context: dict[str, object] = {SPAN_KEY: span, _RUNNING: id(fields)}
        if origin.request_id is not None:
            context[request_id.CONTEXT_KEY] = origin.request_id
        if origin.baggage:
            context = {**origin.baggage, **context}
        token = set_context(Context(context))
        return _new_tuple(Run, (span, token, ids[1] != 0, shared, start_ns, origin.request_id))

    def _begin_eager(self, task: Any, fields: Mapping[str, Any]) -> Run | None:
        """Run in place of being sent: part of what is current, if anything is."""
        attributes: dict[str, Plain] = {
            names.CELERY_TASK_NAME: task.name,
            names.CELERY_TASK_EAGER: True,
        }
        add_lineage(fields, attributes)
        span = unit_of_work.begin(
            self.tracer, f"{names.PROCESS_SPAN} {task.name}", _INTERNAL, attributes
        )
        return None if span is None else Run(span, attach(span))

    def end(
        self,
        run: Run,
        task: Any,
        fields: Mapping[str, Any],
        outcome: Any,
        exc: BaseException | None,
    ) -> None:
        """The task has run: ``outcome`` is Celery's (return value, what went wrong, run time, …),
        None if ``exc`` got through.
        """
        detach(run.token)
        state, error = _ending(run, outcome, exc)
        span = run.span if type(run.span) in RECORDED else None
        if run.shared is not None:
            if self.metrics is not None:
                self.metrics.stopped(id(fields))
                if state is not None:
                    error_type = exception_type(error) if error and state != RETRY else None
                    self.metrics.executed(run.shared, state, run.start_ns, error_type, span)
            if state is not None and task_events.tells(logging.ERROR):
                self._log_end(run, task, fields, state, error)
        if span is not None:
            self._end_span(span, task, state, error)
        if exc is not None and isinstance(exc, (SystemExit, KeyboardInterrupt)):
            child_is_stopped()

    def _log_end(
        self,
        run: Run,
        task: Any,
        fields: Mapping[str, Any],
        state: str,
        error: BaseException | None,
    ) -> None:
        more: dict[str, Any] = {names.CELERY_TASK_RETRIES: fields.get("retries") or None}
        if state == RETRY:
            more[names.CELERY_TASK_RETRY_REASON] = self._retry_reason(error) or None
            error = getattr(error, "exc", None)
        elif state != FAILURE:
            error = None
        task_events.ended(
            run.shared or {},
            fields.get("id"),
            state,
            run.span,
            run.request_id,
            run.start_ns,
            error if isinstance(error, BaseException) else None,
            more=more,
            expected=state == FAILURE and _is_expected(task, error),
        )

    def _end_span(
        self, span: Span, task: Any, state: str | None, error: BaseException | None
    ) -> None:
        if state is None:
            span.relinquish()
            return
        span.note(names.CELERY_TASK_STATE, state)
        try:
            if isinstance(error, Exception):
                self._say_why(span, task, state, error)
            elif error is not None:
                span.fail(exception_type(error))
        finally:
            span.end()

    def _say_why(self, span: Span, task: Any, state: str, exc: BaseException) -> None:
        if state == RETRY:
            cause = getattr(exc, "exc", None)
            if isinstance(cause, BaseException):
                span.record_exception(cause)
            reason = self._retry_reason(exc)
            if reason:
                span.note(names.CELERY_TASK_RETRY_REASON, reason)
        elif state == FAILURE:
            if _is_expected(task, exc):
                span.note(names.ERROR_TYPE, exception_type(exc))
            else:
                span.record_exception(exc)
                span.fail(exception_type(exc))

    def _retry_reason(self, exc: BaseException | None) -> str:
        cause = getattr(exc, "exc", None)
        if isinstance(cause, BaseException):
            return f"{exception_type(cause)}: {self.tracer.exceptions.message(cause)}"
        return self.tracer.normaliser.redactor.text(str(getattr(exc, "message", "")))


def is_running() -> bool:
    """Whether what is current is a run that isn't eager."""
    return get_context().get(_RUNNING) is not None


def _is_expected(task: Any, exc: BaseException | None) -> bool:
    expected = getattr(task, "throws", ())
    return bool(expected) and isinstance(exc, expected)


def _ending(
    run: Run, outcome: Any, exc: BaseException | None
) -> tuple[str | None, BaseException | None]:
    """The state a run ended in and what went wrong; None if the worker's main process tells."""
    if exc is None:
        _, trouble, run_time = outcome[:3]
        if trouble is None:
            # Without a run time it didn't run: an earlier delivery of it has succeeded.
            return IGNORED if run_time is None else SUCCESS, None
        retval = trouble.retval
        return trouble.state, retval if isinstance(retval, BaseException) else None
    # No result for Celery: the task or its process is stopped, or an eager task raises.
    if isinstance(exc, Exception):
        return FAILURE, exc
    if run.watched:
        return None, exc
    return REVOKED if exception_type(exc) == _STOPPED_GREENLET else FAILURE, exc


def _tell(
    own: dict[str, Plain], fields: Mapping[str, Any], delivery: Mapping[str, Any], origin: Origin
) -> None:
    """What a run doesn't share with others."""
    add_lineage(fields, own)
    priority = delivery.get("priority")
    if priority and isinstance(priority, int):  # brokers without priorities say 0
        own[names.CELERY_TASK_PRIORITY] = priority
    if origin.queue_wait_s is not None:
        # To microseconds; ``round`` takes five times as long.
        own[names.CELERY_TASK_QUEUE_WAIT] = int(origin.queue_wait_s * 1e6 + 0.5) / 1e6
    if origin.beat_entry is not None:
        own[names.CELERY_BEAT_ENTRY] = origin.beat_entry


def execution_ids(headers: Mapping[str, Any]) -> tuple[int, int]:
    """The trace id and span id that the worker's main process has set for this run; 0: none."""
    given = headers.get(EXECUTION)
    if type(given) is not str or len(given) != 48:
        return _NEW_IDS
    try:
        ids = unhexlify(given)
    except ValueError:
        return _NEW_IDS
    return _from_bytes(ids[:16], "big"), _from_bytes(ids[16:], "big")


def install(executions: Executions, patches: Patches) -> Callable[[], None]:
    """Trace runs of tasks; Celery is imported already. Returns the undoing."""
    global _executions
    _executions = executions
    takers = [
        when_imported(module, functools.partial(_patch_builder, patches, module))
        for module in ("celery.app.trace", "celery.worker.consumer.consumer")
    ]
    _wrap_built()

    def undo() -> None:
        global _executions
        _executions = None
        for take_back in takers:
            take_back()

    return undo


def _patch_builder(patches: Patches, module_name: str) -> None:
    """``build_tracer`` makes the function that runs a task: eager, by the pool, in its child."""
    module = sys.modules[module_name]
    if not patches.holds(module, "build_tracer"):
        patches.wrap(module, "build_tracer", _build_tracer)


def _build_tracer(original: Callable[..., Any]) -> Callable[..., Any]:
    def build_tracer(name: str, task: Any, *args: Any, **options: Any) -> Any:
        return _traced(original(name, task, *args, **options), task)

    return build_tracer


def _wrap_built() -> None:
    """A worker in this process may have had its tasks' functions built before."""
    from celery import _state

    active_apps: Any = getattr(_state, "_get_active_apps", tuple)
    for app in list(active_apps()):
        for task in list(app._tasks.values()):
            built = getattr(task, "__trace__", None)
            if built is not None:
                task.__trace__ = _traced(built, task)


def _traced(run_task: Callable[..., Any], task: Any) -> Callable[..., Any]:
    """Celery's function that runs one task, with a span around each call.

    One that has it comes back as it is: a module may have imported the patched builder.
    """
    if hasattr(run_task, _OURS):
        return run_task

    def trace_task(uuid: Any, args: Any, kwargs: Any, request: Any = None) -> Any:
        executions = _executions
        if executions is None or not request:
            return run_task(uuid, args, kwargs, request)
        try:
            run = executions.begin(task, request)
        except Exception:
            guard.caught("celery.begin")
            run = None
        if run is None:
            return run_task(uuid, args, kwargs, request)
        outcome = exc = None
        try:
            outcome = run_task(uuid, args, kwargs, request)
            return outcome
        except BaseException as raised:
            exc = raised
            raise
        finally:
            try:
                executions.end(run, task, request, outcome, exc)
            except Exception:
                guard.caught("celery.end")

    setattr(trace_task, _OURS, True)
    return trace_task
