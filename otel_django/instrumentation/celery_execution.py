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
    Lineage,
    broker_attributes,
    carrier_of,
    destination,
    header_number,
    header_text,
    timestamp,
)
from otel_django.tracing import request_id
from otel_django.tracing.current import SPAN_KEY, SUPPRESS_KEY, detach, get_context, set_context
from otel_django.tracing.exceptions import exception_type
from otel_django.tracing.span import Span
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


class Executions:
    """What all runs of tasks in this process share."""

    def __init__(self, tracer: Tracer, settings: Settings) -> None:
        self.tracer = tracer
        self._carrier = carrier_of(settings.propagators)
        self._link_after_s = settings.celery_link_after_s

    def origin(self, headers: Mapping[str, Any], eta: object, now_s: float) -> Origin:
        """Read a message's custom headers; the task starts at ``now_s`` (epoch)."""
        remote, baggage = self._carrier.extract(headers)
        sent_s = header_number(headers, SENT_AT)
        due_s = timestamp(eta)
        queue_wait_s = None
        delayed = False
        if sent_s is not None:
            queue_wait_s = max(0.0, now_s - max(sent_s, due_s or 0.0))
            delayed = now_s - sent_s > self._link_after_s
        entry = header_text(headers, BEAT_ENTRY)
        apart = delayed or entry is not None
        return Origin(
            parent=None if apart else remote,
            link=remote if apart else None,
            baggage=baggage,
            queue_wait_s=queue_wait_s,
            request_id=header_text(headers, REQUEST_ID),
            beat_entry=entry,
        )

    def attributes(
        self, app: Any, name: str, hostname: Any, lineage: Lineage, delivery: Mapping[str, Any]
    ) -> dict[str, Plain]:
        """What is known when a run begins."""
        attributes: dict[str, Plain] = {
            names.CELERY_TASK_NAME: name,
            names.MESSAGING_OPERATION_NAME: names.PROCESS_SPAN,
            names.MESSAGING_OPERATION_TYPE: names.PROCESS_SPAN,
            names.MESSAGING_SYSTEM: broker_attributes(app)[names.MESSAGING_SYSTEM],
            names.MESSAGING_DESTINATION_NAME: destination(
                delivery.get("exchange"), delivery.get("routing_key"), app.amqp.queues.values()
            ),
        }
        if hostname:
            attributes[names.CELERY_WORKER] = str(hostname)
        priority = delivery.get("priority")
        if isinstance(priority, int) and priority:  # brokers without priorities say 0
            attributes[names.CELERY_TASK_PRIORITY] = priority
        lineage.add_to(attributes)
        return attributes

    def span(
        self,
        name: str,
        attributes: dict[str, Plain],
        origin: Origin,
        ids: tuple[int, int] = (0, 0),
        start_time: int | None = None,
    ) -> Any:
        """The run's span, not made current; ``ids`` are the trace's (for a root) and its own."""
        if origin.queue_wait_s is not None:
            attributes[names.CELERY_TASK_QUEUE_WAIT] = round(origin.queue_wait_s, 6)
        if origin.beat_entry is not None:
            attributes[names.CELERY_BEAT_ENTRY] = origin.beat_entry
        span = self.tracer.begin_local_root(
            f"{names.PROCESS_SPAN} {name}",
            _CONSUMER,
            attributes,
            origin.parent,
            start_time,
            trace_id=ids[0],
            span_id=ids[1],
        )
        if type(span) is Span:
            if origin.link is not None:
                span.add_link(origin.link)
            span._local.request_id = origin.request_id
        return span

    def begin(self, task: Any) -> Run | None:
        """A task is about to run on this thread: make its span current."""
        request = task.request
        if request.is_eager:
            return self._begin_eager(task, request)
        headers = request.headers or {}
        origin = self.origin(headers, request.eta, time())
        ids = execution_ids(headers)
        span = self.span(
            task.name,
            self.attributes(
                task.app,
                task.name,
                request.hostname,
                Lineage.of(vars(request)),
                request.delivery_info or {},
            ),
            origin,
            ids,
        )
        # A context of its own: neither the worker's nor, in a pool that shares the thread with
        # the consumer, its suppression of tracing.
        context = {**origin.baggage, SPAN_KEY: span}
        own_id = origin.request_id or f"{span.get_span_context().trace_id:032x}"
        context[request_id.CONTEXT_KEY] = own_id
        return Run(span, set_context(Context(context)), watched=ids[1] != 0)

    def _begin_eager(self, task: Any, request: Any) -> Run | None:
        """Run in place of being sent: part of what is current, if anything is."""
        base = get_context()
        if base.get(SUPPRESS_KEY):
            return None
        attributes: dict[str, Plain] = {
            names.CELERY_TASK_NAME: task.name,
            names.CELERY_TASK_EAGER: True,
        }
        Lineage.of(vars(request)).add_to(attributes)
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
        setattr(task.request, _ATTRIBUTE, executions.begin(task))
    except Exception:
        guard.caught("celery.begin")


def _after_run(*, task: Any = None, state: Any = None, retval: Any = None, **_: Any) -> None:
    executions = _executions
    if executions is None or task is None:
        return
    try:
        run = getattr(task.request, _ATTRIBUTE, None)
        if run is not None:
            setattr(task.request, _ATTRIBUTE, None)
            executions.end(run, task, state, retval)
    except Exception:
        guard.caught("celery.end")
