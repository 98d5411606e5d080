"""Running a Celery task: one CONSUMER span from ``task_prerun`` to ``task_postrun``.

It is the child of the span that sent the task; the root of a trace of its own, linked to that
span, where the task was delayed for long or came from beat. These signals fire in the process and
thread that runs the task, in every pool; what a worker's main process knows of tasks that never
ran to their end is told by ``celery_worker``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from time import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from otel_django import guard, names
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
    header_text,
    timestamp,
)
from otel_django.tracing import request_id
from otel_django.tracing.current import SPAN_KEY, SUPPRESS_KEY, detach, get_context, set_context
from otel_django.tracing.exceptions import exception_type
from otel_django.tracing.span import Span
from otel_django.tracing.span_parts import SharedAttributes
from otel_django.tracing.tracer import DroppedSpan

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Token

    from opentelemetry.trace import SpanContext

    from otel_django.conf import Settings
    from otel_django.tracing.limits import Plain
    from otel_django.tracing.tracer import Tracer

_UID: Final = "otel_django"
_ATTRIBUTE: Final = "_otel_django"
_MOST_SHAPES: Final = 4096
_NEW_IDS: Final = (0, 0)
_CONSUMER = SpanKind.CONSUMER
_INTERNAL = SpanKind.INTERNAL
SUCCESS: Final = "SUCCESS"
FAILURE: Final = "FAILURE"
RETRY: Final = "RETRY"
REVOKED: Final = "REVOKED"
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

    ``watched``: should it be cut off, the worker's main process ends its span.
    """

    span: Any
    token: Token[Context]
    watched: bool = False


class _Shape(NamedTuple):
    """What all runs of one task from one queue by one worker have in common."""

    span_name: str
    shared: SharedAttributes


class Executions:
    """What all runs of tasks in this process share."""

    def __init__(self, tracer: Tracer, settings: Settings) -> None:
        self.tracer = tracer
        self._carrier = carrier_of(settings.propagators)
        self._link_after_s = settings.celery_link_after_s
        self._shapes: dict[tuple[str, Any, Any, Any], _Shape] = {}

    def origin(self, headers: Mapping[str, Any], eta: object, now_s: float) -> Origin:
        """Read a message's custom headers; the task starts at ``now_s`` (epoch)."""
        remote, baggage = self._carrier.extract(headers)
        get = headers.get
        sent_s = get(SENT_AT)
        queue_wait_s = None
        apart = False
        if isinstance(sent_s, float | int):
            queue_wait_s = now_s - sent_s
            apart = queue_wait_s > self._link_after_s
            if eta is not None:
                queue_wait_s = now_s - max(sent_s, timestamp(eta) or 0.0)
            queue_wait_s = max(queue_wait_s, 0.0)
        entry = get(BEAT_ENTRY)
        if entry is not None:
            apart = True
            entry = str(entry)
        given_id = get(REQUEST_ID)
        return Origin(
            None if apart else remote,
            remote if apart else None,
            baggage,
            queue_wait_s,
            given_id if type(given_id) is str else None,
            entry,
        )

    def span(
        self,
        app: Any,
        name: str,
        hostname: Any,
        fields: Mapping[str, Any],
        delivery: Mapping[str, Any],
        origin: Origin,
        ids: tuple[int, int] = _NEW_IDS,
        start_time: int | None = None,
    ) -> Any:
        """The run's span, not made current; ``ids`` are the trace's (for a root) and its own."""
        key = (name, hostname, delivery.get("exchange"), delivery.get("routing_key"))
        shape = self._shapes.get(key) or self._learn(app, key)
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
        if type(span) is Span:
            if not whole:
                span._shared = shape.shared
                _tell(own, fields, delivery, origin)
            if origin.link is not None:
                span.add_link(origin.link)
            span._local.request_id = origin.request_id
        return span

    def _learn(self, app: Any, key: tuple[str, Any, Any, Any]) -> _Shape:
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
        shape = _Shape(f"{names.PROCESS_SPAN} {name}", SharedAttributes(shared))
        if len(self._shapes) < _MOST_SHAPES:
            self._shapes[key] = shape
        return shape

    def begin(self, task: Any, request: Any) -> Run | None:
        """A task is about to run on this thread: make its span current."""
        fields = vars(request)
        if fields.get("is_eager"):
            return self._begin_eager(task, fields)
        headers = fields if SENT_AT in fields else custom_headers(fields)
        origin = self.origin(headers, fields.get("eta"), time())
        ids = execution_ids(headers) if EXECUTION in headers else _NEW_IDS
        delivery = fields.get("delivery_info") or {}
        span = self.span(task.app, task.name, fields.get("hostname"), fields, delivery, origin, ids)
        # A context of its own: neither the worker's nor, in a pool that shares the thread with
        # the consumer, its suppression of tracing.
        own_id = origin.request_id or span.get_span_context()[0].to_bytes(16, "big").hex()
        context: dict[str, object] = {SPAN_KEY: span, request_id.CONTEXT_KEY: own_id}
        if origin.baggage:
            context = {**origin.baggage, **context}
        return Run(span, set_context(Context(context)), ids[1] != 0)

    def _begin_eager(self, task: Any, fields: Mapping[str, Any]) -> Run | None:
        """Run in place of being sent: part of what is current, if anything is."""
        base = get_context()
        if base.get(SUPPRESS_KEY):
            return None
        attributes: dict[str, Plain] = {
            names.CELERY_TASK_NAME: task.name,
            names.CELERY_TASK_EAGER: True,
        }
        add_lineage(fields, attributes)
        outer: Any = base.get(SPAN_KEY)
        name = f"{names.PROCESS_SPAN} {task.name}"
        span: Any
        if type(outer) is Span:
            span = self.tracer.begin(name, _INTERNAL, attributes, outer)
        elif type(outer) is DroppedSpan:
            span = outer
        else:
            parent = None if outer is None else outer.get_span_context()
            if parent is not None and not parent.is_valid:
                parent = None
            span = self.tracer.begin_local_root(name, _INTERNAL, attributes, parent)
        return Run(span, set_context(Context({**base, SPAN_KEY: span})))

    def end(self, run: Run, task: Any, state: str | None, outcome: Any) -> None:
        """The task has run: ``outcome`` is its return value, or what it raised."""
        detach(run.token)
        span = run.span
        if type(span) is not Span:
            return
        if state is None:
            self._cut_off(run, sys.exc_info()[1])
            return
        try:
            span.note(names.CELERY_TASK_STATE, state)
            if state != SUCCESS and isinstance(outcome, BaseException):
                self._say_why(span, task, state, outcome)
        finally:
            span.end()

    def _cut_off(self, run: Run, exc: BaseException | None) -> None:
        """Celery knows no result: mostly, because something stops the task or its process."""
        if run.watched and exc is not None and not isinstance(exc, Exception):
            run.span.relinquish()
        else:
            error_type = FAILURE if exc is None else exception_type(exc)
            run.span.note(
                names.CELERY_TASK_STATE,
                REVOKED if error_type == _STOPPED_GREENLET else FAILURE,
            )
            run.span.fail(error_type)
            run.span.end()
        if isinstance(exc, (SystemExit, KeyboardInterrupt)):
            child_is_stopped()

    def _say_why(self, span: Span, task: Any, state: str, exc: BaseException) -> None:
        if state == RETRY:
            cause = getattr(exc, "exc", None)
            if isinstance(cause, BaseException):
                span.record_exception(cause)
                reason = f"{exception_type(cause)}: {self.tracer.exceptions.message(cause)}"
            else:
                reason = self.tracer.normaliser.redactor.text(str(getattr(exc, "message", "")))
            if reason:
                span.note(names.CELERY_TASK_RETRY_REASON, reason)
        elif state == FAILURE:
            expected = getattr(task, "throws", ())
            if expected and isinstance(exc, expected):
                span.note(names.ERROR_TYPE, exception_type(exc))
            else:
                span.record_exception(exc)
                span.fail(exception_type(exc))


def _tell(
    own: dict[str, Plain], fields: Mapping[str, Any], delivery: Mapping[str, Any], origin: Origin
) -> None:
    """What a run doesn't share with others."""
    add_lineage(fields, own)
    priority = delivery.get("priority")
    if priority and isinstance(priority, int):  # brokers without priorities say 0
        own[names.CELERY_TASK_PRIORITY] = priority
    if origin.queue_wait_s is not None:
        own[names.CELERY_TASK_QUEUE_WAIT] = round(origin.queue_wait_s, 6)
    if origin.beat_entry is not None:
        own[names.CELERY_BEAT_ENTRY] = origin.beat_entry


def execution_ids(headers: Mapping[str, Any]) -> tuple[int, int]:
    """The trace id and span id that the worker's main process has set for this run; 0: none."""
    given = header_text(headers, EXECUTION)
    if given is None:
        return 0, 0
    try:
        trace_id, _, span_id = given.partition("-")
        return int(trace_id, 16), int(span_id, 16)
    except ValueError:
        return 0, 0


def install(executions: Executions) -> Callable[[], None]:
    """Trace runs of tasks; Celery is imported already. Returns the undoing."""
    from celery.signals import task_postrun, task_prerun

    global _executions
    _executions = executions
    task_prerun.connect(_before_run, weak=False, dispatch_uid=_UID)
    task_postrun.connect(_after_run, weak=False, dispatch_uid=_UID)

    def undo() -> None:
        global _executions
        _executions = None
        task_prerun.disconnect(_before_run, dispatch_uid=_UID)
        task_postrun.disconnect(_after_run, dispatch_uid=_UID)

    return undo


def _before_run(*, task: Any = None, **_: Any) -> None:
    executions = _executions
    if executions is None or task is None:
        return
    try:
        request = task.request
        request.__dict__[_ATTRIBUTE] = executions.begin(task, request)
    except Exception:
        guard.caught("celery.begin")


def _after_run(*, task: Any = None, state: Any = None, retval: Any = None, **_: Any) -> None:
    executions = _executions
    if executions is None or task is None:
        return
    try:
        run = task.request.__dict__.pop(_ATTRIBUTE, None)
        if run is not None:
            executions.end(run, task, state, retval)
    except Exception:
        guard.caught("celery.end")
