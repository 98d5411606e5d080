"""Django's tasks framework, and its back-port: spans for sending and running tasks.

``Task.enqueue`` is patched; runs are told by the framework's signals, which every worker sends on
the thread that runs the task. A task's record has no headers: what was sent and what ran are
joined by the task's id, and by a link where a cache carries it (``django_tasks_link``).
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from otel_django import guard, names
from otel_django.instrumentation import task_events, unit_of_work
from otel_django.instrumentation.django_tasks_link import Links
from otel_django.instrumentation.on_import import when_imported
from otel_django.instrumentation.patching import Patches
from otel_django.tracing import request_id
from otel_django.tracing.current import SPAN_KEY, SUPPRESS_KEY, get_context, set_context
from otel_django.tracing.exceptions import exception_type
from otel_django.tracing.span import Span

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.tracing.limits import Plain
    from otel_django.tracing.tracer import Tracer

_FRAMEWORKS: Final = ("django.tasks", "django_tasks")
_SYSTEM: Final = "django_tasks"
_UID: Final = "otel_django"
_PLACE: Final = "otel_django-task"
"""In the context: the ``_Run`` that is going on, or None inside ``enqueue``."""


class _Run:
    """A task that is being run: its span, and the context from before."""

    __slots__ = ("before", "shared", "span", "start_ns", "task_id")

    def __init__(self, span: Any, task_id: str, before: Context, shared: dict[str, Plain]) -> None:
        self.span = span
        self.task_id = task_id
        self.before = before
        self.shared = shared
        self.start_ns = time_ns()

    @property
    def request_id(self) -> str | None:
        """Of the request that runs it in place."""
        known = self.before.get(request_id.CONTEXT_KEY)
        return known if isinstance(known, str) else None


class DjangoTasksInstrumentation:
    """Waits until a framework is imported, which it doesn't do itself."""

    def __init__(self) -> None:
        self._patches = Patches()
        self._undoing: list[Callable[[], object]] = []
        self._tracer: Tracer | None = None
        self._links = Links()
        self._running: set[_Run] = set()

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Patch now or when a framework is imported; a second call only changes the tracer."""
        self._tracer = tracer
        if self._undoing:
            return
        self._links = Links()
        self._undoing.append(task_events.replace_djangos_lines())
        for framework in _FRAMEWORKS:
            for module, act in (("base", self._patch), ("signals", self._connect)):
                name = f"{framework}.{module}"
                self._undoing.append(when_imported(name, functools.partial(act, name)))

    def uninstall(self) -> None:
        """Put everything back."""
        self._tracer = None
        while self._undoing:
            self._undoing.pop()()
        self._patches.undo()

    def process_ends(self) -> None:
        """Tasks that are running won't come to their end."""
        for run in tuple(self._running):
            self._lose(run)

    def _patch(self, module: str) -> None:
        task = import_module(module).Task
        self._patches.wrap(task, "enqueue", self._sent)
        self._patches.wrap(task, "aenqueue", self._sent_async)

    def _connect(self, module: str) -> None:
        signals = import_module(module)
        for signal, receiver in (
            (signals.task_started, self._started),
            (signals.task_finished, self._finished),
        ):
            signal.connect(receiver, weak=False, dispatch_uid=_UID)
            self._undoing.append(functools.partial(signal.disconnect, dispatch_uid=_UID))

    # --- sending

    def _sent(self, enqueue: Callable[..., Any]) -> Callable[..., Any]:
        def traced_enqueue(task: Any, *args: Any, **kwargs: Any) -> Any:
            sending = self._send(task)
            if sending is None:
                return enqueue(task, *args, **kwargs)
            with sending:
                result = enqueue(task, *args, **kwargs)
                if sending.succeeded(result):
                    self._links.keep(result, sending.span)
            return result

        return traced_enqueue

    def _sent_async(self, aenqueue: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        async def traced_aenqueue(task: Any, *args: Any, **kwargs: Any) -> Any:
            sending = self._send(task)
            if sending is None:
                return await aenqueue(task, *args, **kwargs)
            with sending:
                result = await aenqueue(task, *args, **kwargs)
                if sending.succeeded(result):
                    await self._links.akeep(result, sending.span)
            return result

        return traced_aenqueue

    def _send(self, task: Any) -> _Sending | None:
        tracer = self._tracer
        if tracer is None:
            return None
        try:
            name = task.module_path
            span = unit_of_work.begin(
                tracer,
                f"{names.SEND_SPAN} {name}",
                SpanKind.PRODUCER,
                _attributes(task, names.SEND_SPAN),
            )
            return _Sending(span, self._lose)
        except Exception:
            guard.caught("django_tasks.send")
            return None

    # --- running

    def _started(self, *, task_result: Any, **_: Any) -> None:
        tracer = self._tracer
        if tracer is None:
            return
        try:
            context = get_context()
            stale: Any = context.get(_PLACE)
            if isinstance(stale, _Run):  # nobody said that it ended, and it can't go on
                self._lose(stale)
                set_context(stale.before)
                context = stale.before
            if not context.get(SUPPRESS_KEY):
                self._run(tracer, task_result, context)
        except Exception:
            guard.caught("django_tasks.started")

    def _run(self, tracer: Tracer, result: Any, before: Context) -> None:
        task = result.task
        name = f"{names.PROCESS_SPAN} {task.module_path}"
        attributes = _attributes(task, names.PROCESS_SPAN)
        attributes[names.MESSAGING_MESSAGE_ID] = str(result.id)
        attempt = len(result.worker_ids)
        if attempt > 1:
            attributes[names.DJANGO_TASK_ATTEMPT] = attempt
        else:
            _add_queue_wait(attributes, result)
        span: Any
        if _PLACE in before:  # inside ``enqueue``: the back-end runs it in place
            span = unit_of_work.begin(tracer, name, SpanKind.CONSUMER, attributes)
        else:
            sender = self._links.take(result)
            span = tracer.begin_local_root(name, SpanKind.CONSUMER, attributes)
            if sender is not None:
                span.add_link(sender)
        run = _Run(span, str(result.id), before, attributes)
        self._running.add(run)
        waited_s: Any = attributes.get(names.DJANGO_TASK_QUEUE_WAIT)
        task_events.started(attributes, run.task_id, span, run.request_id, waited_s)
        set_context(_inside(before, span, run))

    def _finished(self, *, task_result: Any, **_: Any) -> None:
        try:
            run: Any = get_context().get(_PLACE)
            if not isinstance(run, _Run) or run.task_id != str(task_result.id):
                return
            set_context(run.before)
            if run in self._running:
                self._running.discard(run)
                _log_outcome(run, task_result)
                if isinstance(run.span, Span):
                    _tell_outcome(run.span, task_result)
        except Exception:
            guard.caught("django_tasks.finished")

    def _lose(self, run: _Run) -> None:
        """The run ended and nobody said how."""
        if run in self._running:
            self._running.discard(run)
            if isinstance(run.span, Span):
                run.span.fail("lost", "nobody said how the task ended")
                run.span.end()


class _Sending:
    """``with sending:`` the call of ``enqueue``, inside its span; without one (None) only a mark
    that tasks which begin here are run in place.
    """

    __slots__ = ("_before", "_lose", "span")

    def __init__(self, span: Any, lose: Callable[[_Run], None]) -> None:
        self.span = span
        self._lose = lose

    def __enter__(self) -> None:
        self._before = get_context()
        set_context(_inside(self._before, self.span, None))

    def succeeded(self, result: Any) -> bool:
        """Note the task's id; whether there is a recorded span to find by it."""
        if not isinstance(self.span, Span):
            return False
        try:
            self.span.note(names.MESSAGING_MESSAGE_ID, str(result.id))
            return True
        except Exception:
            guard.caught("django_tasks.sent")
            return False

    def __exit__(self, kind: object, exc: BaseException | None, traceback: object) -> None:
        run: Any = get_context().get(_PLACE)
        set_context(self._before)
        if isinstance(run, _Run):  # it ran in place and was interrupted
            self._lose(run)
        if isinstance(self.span, Span):
            if exc is not None:
                self.span.fail(exception_type(exc))
            self.span.end()


def _inside(before: Context, span: Any, place: _Run | None) -> Context:
    if span is None:
        return Context({**before, _PLACE: place})
    return Context({**before, SPAN_KEY: span, _PLACE: place})


def _attributes(task: Any, operation: str) -> dict[str, Plain]:
    attributes: dict[str, Plain] = {
        names.MESSAGING_SYSTEM: _SYSTEM,
        names.MESSAGING_DESTINATION_NAME: str(task.queue_name),
        names.MESSAGING_OPERATION_NAME: operation,
        names.MESSAGING_OPERATION_TYPE: operation,
        names.DJANGO_TASK_NAME: task.module_path,
        names.DJANGO_TASK_BACKEND: str(task.backend),
    }
    if task.priority:
        attributes[names.DJANGO_TASK_PRIORITY] = int(task.priority)
    if task.run_after is not None:
        attributes[names.DJANGO_TASK_RUN_AFTER] = task.run_after.isoformat()
    return attributes


def _add_queue_wait(attributes: dict[str, Plain], result: Any) -> None:
    if result.enqueued_at is None or result.started_at is None:
        return
    due_s = result.enqueued_at.timestamp()
    if result.task.run_after is not None:
        due_s = max(due_s, result.task.run_after.timestamp())
    waited_s = max(0.0, result.started_at.timestamp() - due_s)
    attributes[names.DJANGO_TASK_QUEUE_WAIT] = round(waited_s, 6)


def _log_outcome(run: _Run, result: Any) -> None:
    state = str(result.status.value)
    error = sys.exc_info()[1] if state == "FAILED" else None
    error_type = None
    if state == "FAILED" and error is None:
        errors = result.errors
        error_type = errors[-1].exception_class_path.removeprefix("builtins.") if errors else state
    task_events.ended(
        run.shared,
        run.task_id,
        state,
        run.span,
        run.request_id,
        run.start_ns,
        error,
        error_type,
    )


def _tell_outcome(span: Span, result: Any) -> None:
    try:
        status = str(result.status.value)
        span.note(names.DJANGO_TASK_STATUS, status)
        if status == "FAILED":
            exc = sys.exc_info()[1]  # workers say it from inside their ``except``
            if exc is not None:
                span.record_exception(exc)
                span.fail(exception_type(exc))
            elif result.errors:
                span.fail(result.errors[-1].exception_class_path.removeprefix("builtins."))
            else:
                span.fail(status)
    finally:
        span.end()
