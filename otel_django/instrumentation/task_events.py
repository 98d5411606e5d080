"""``task.…``: log records of how each run of a task ended, in place of its framework's lines.

As its metrics, they are told by the process that knows: the one that ran the task, or a worker's
main process for what never ran or was cut off. Tasks of Celery that run in place of being sent are
left to Celery's own lines.
"""

from __future__ import annotations

import logging
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from otel_django import guard, names
from otel_django.log_record import DEBUG, ERROR, INFO, WARN
from otel_django.logs import active
from otel_django.logs.journal import LEFT_OUT, untold
from otel_django.logs.place import Place
from otel_django.tracing.exceptions import exception_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

EVENTS: Final = {
    "SUCCESS": (names.TASK_SUCCEEDED, INFO),
    "SUCCESSFUL": (names.TASK_SUCCEEDED, INFO),
    "FAILURE": (names.TASK_FAILED, ERROR),
    "FAILED": (names.TASK_FAILED, ERROR),
    "RETRY": (names.TASK_RETRIED, WARN),
    "REVOKED": (names.TASK_REVOKED, WARN),
    "REJECTED": (names.TASK_REJECTED, WARN),
    "IGNORED": (names.TASK_IGNORED, INFO),
}
"""By the state of Celery or Django: the event, and its severity."""

_CELERY_REPORTS: Final = "celery.app.trace"
_CELERY_RECEIVED: Final = "celery.worker.strategy"
_CELERY_REQUESTS: Final = "celery.worker.request"
_CUT_OFF: Final = "Task handler raised error: %r"
_DJANGO_REPORT: Final = "Task id=%s path=%s state=%s"


def tells(level: int = logging.INFO) -> bool:
    """Whether events of that level go anywhere; else there is no need to gather what they say."""
    journal = active.journal()
    return journal is not None and journal.threshold <= level


def received(shared: Mapping[str, Any], task_id: object) -> None:
    """A worker has taken a task from its queue."""
    _tell(names.TASK_RECEIVED, DEBUG, shared, task_id, None, None, {})


def started(
    shared: Mapping[str, Any],
    task_id: object,
    span: Any,
    request_id: str | None,
    queue_wait_s: float | None,
) -> None:
    """A task begins to run."""
    if not tells(logging.DEBUG):
        return
    fields = {} if queue_wait_s is None else {_wait_key(shared): round(queue_wait_s, 6)}
    _tell(names.TASK_STARTED, DEBUG, shared, task_id, span, request_id, fields)


def ended(
    shared: Mapping[str, Any],
    task_id: object,
    state: str,
    span: Any,
    request_id: str | None,
    start_ns: int | None,
    error: BaseException | None = None,
    error_type: str | None = None,
    more: Mapping[str, Any] | None = None,
    *,
    expected: bool = False,
) -> None:
    """A run has ended in one of the states; without ``start_ns`` it never began.

    ``more`` are further fields, plain and without secrets; those that are None are absent. An
    ``expected`` failure is no error.
    """
    event, severity = EVENTS[state]
    fields: dict[str, Any] = {}
    if start_ns is not None:
        fields[names.DURATION] = max(0, time_ns() - start_ns) / 1e9
    fields.update({name: value for name, value in (more or {}).items() if value is not None})
    if error is not None and error_type is None:
        error_type = exception_type(error)
    if error_type is not None:
        fields[names.ERROR_TYPE] = error_type
    if expected:
        error, severity = None, INFO
    _tell(event, severity, shared, task_id, span, request_id, fields, untold(error))


def _wait_key(shared: Mapping[str, Any]) -> str:
    celery = names.CELERY_TASK_NAME in shared
    return names.CELERY_TASK_QUEUE_WAIT if celery else names.DJANGO_TASK_QUEUE_WAIT


def _tell(
    event: str,
    severity: int,
    shared: Mapping[str, Any],
    task_id: object,
    span: Any,
    request_id: str | None,
    fields: dict[str, Any],
    error: BaseException | None = None,
) -> None:
    journal = active.journal()
    if journal is None:
        return
    with guard.guarded("task_events"):
        context = None
        if span is not None:
            context = getattr(span, "_context", None) or span.get_span_context()
        key = names.CELERY_TASK_NAME if names.CELERY_TASK_NAME in shared else names.DJANGO_TASK_NAME
        place = Place(
            context.trace_id if context else 0,
            context.span_id if context else 0,
            int(context.trace_flags) if context else 0,
            request_id,
            None,
            shared[key],
            None if task_id is None else str(task_id),
            key,
        )
        queue = shared.get(names.MESSAGING_DESTINATION_NAME)
        if queue is not None:
            fields[names.MESSAGING_DESTINATION_NAME] = queue
        journal.tell(event, severity, fields, place, error)


# --- the frameworks' own lines


def replace_celerys_lines(told_here: Callable[[], bool]) -> Callable[[], None]:
    """Leave out what Celery logs of runs that are told; ``told_here``: whether this one is.

    Returns the undoing.
    """

    def of_run(record: logging.LogRecord) -> str | None:
        return LEFT_OUT if hasattr(record, "data") and told_here() else None

    return _rules(
        {_CELERY_REPORTS: of_run, _CELERY_RECEIVED: _of_received, _CELERY_REQUESTS: _of_cut_off}
    )


def replace_djangos_lines() -> Callable[[], None]:
    """Leave out what the tasks framework and its back-port log of runs; returns the undoing."""
    return _rules(dict.fromkeys(("django.tasks", "django_tasks"), _of_django))


def _rules(rules: Mapping[str, Callable[[logging.LogRecord], str | None]]) -> Callable[[], None]:
    journal = active.journal()
    if journal is not None:
        for name, rule in rules.items():
            journal.set_rule(name, rule)

    def undo() -> None:
        if journal is not None:
            for name in rules:
                journal.set_rule(name, None)

    return undo


def _of_received(record: logging.LogRecord) -> str | None:
    return LEFT_OUT if tells(logging.DEBUG) and hasattr(record, "data") else None


def _of_cut_off(record: logging.LogRecord) -> str | None:
    return LEFT_OUT if record.msg == _CUT_OFF else None


def _of_django(record: logging.LogRecord) -> str | None:
    return LEFT_OUT if record.msg == _DJANGO_REPORT else None
