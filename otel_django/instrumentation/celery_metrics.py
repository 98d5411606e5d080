"""What is measured of Celery's tasks, each message and each run once.

The process that runs a task counts the run; a worker's main process counts what could not count
itself: what never ran, and what was cut off. Tasks that run in place of being sent don't count.
"""

from __future__ import annotations

from collections import Counter
from time import time_ns
from typing import TYPE_CHECKING, Any

from otel_django import metric_definitions as metrics
from otel_django import names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from otel_django.metrics.recorder import Recorder


class TaskMetrics:
    """The instruments of tasks. ``shared`` are what all spans say of a task and its queue."""

    def __init__(self, recorder: Recorder) -> None:
        self._send_time = recorder.histogram(metrics.MESSAGING_CLIENT_OPERATION_DURATION)
        self._sent = recorder.counter(metrics.MESSAGING_CLIENT_SENT_MESSAGES)
        self._consumed = recorder.counter(metrics.MESSAGING_CLIENT_CONSUMED_MESSAGES)
        self._run_time = recorder.histogram(metrics.MESSAGING_PROCESS_DURATION)
        self._executions = recorder.counter(metrics.CELERY_TASK_EXECUTIONS)
        self._queue_wait = recorder.histogram(metrics.CELERY_TASK_QUEUE_WAIT)
        self._running: dict[int, tuple[Any, ...]] = {}
        self._have_run: set[tuple[Any, ...]] = set()
        recorder.observe(metrics.CELERY_TASK_ACTIVE, self._count_running)
        recorder.gather(_nothing, self._after_fork)

    def sent(
        self, shared: Mapping[str, Any], start_ns: int, error_type: str | None, span: Any
    ) -> None:
        """A task was handed to the broker, or was to be."""
        message = _message(names.SEND_SPAN, shared, error_type)
        self._send_time.record((time_ns() - start_ns) / 1e9, message, span)
        self._sent.add(1, message, span)

    def consumed(self, shared: Mapping[str, Any], error_type: str | None = None) -> None:
        """A worker took a task from the broker."""
        self._consumed.add(1, _message(names.PROCESS_SPAN, shared, error_type))

    def started(
        self, run: int, shared: Mapping[str, Any], queue_wait_s: float | None, span: Any
    ) -> None:
        """A task begins to run; ``run`` is a number of its own while it does."""
        task = _task(shared)
        self._running[run] = task
        self._have_run.add(task)
        if queue_wait_s is not None:
            self._queue_wait.record(queue_wait_s, task, span)

    def stopped(self, run: int) -> None:
        """It runs no longer."""
        self._running.pop(run, None)

    def executed(
        self,
        shared: Mapping[str, Any],
        state: str,
        start_ns: int | None,
        error_type: str | None,
        span: Any,
    ) -> None:
        """A run has ended in one of Celery's states; without ``start_ns`` it never began."""
        if start_ns is not None:
            message = _message(names.PROCESS_SPAN, shared, error_type)
            self._run_time.record(max(0, time_ns() - start_ns) / 1e9, message, span)
        self._executions.add(1, (*_task(shared), state.lower()), span)

    def _count_running(self) -> Iterator[tuple[int, tuple[Any, ...]]]:
        running = Counter(self._running.copy().values())
        for task in self._have_run.copy():
            yield running[task], task

    def _after_fork(self) -> None:
        """In a forked child: what runs in the parent doesn't run here."""
        self._running = {}
        self._have_run = set()


def _nothing() -> None:
    """Waits here."""


def _task(shared: Mapping[str, Any]) -> tuple[Any, ...]:
    return shared[names.CELERY_TASK_NAME], shared.get(names.MESSAGING_DESTINATION_NAME)


def _message(operation: str, shared: Mapping[str, Any], error_type: str | None) -> tuple[Any, ...]:
    return (
        operation,
        shared.get(names.MESSAGING_SYSTEM),
        shared.get(names.MESSAGING_DESTINATION_NAME),
        shared[names.CELERY_TASK_NAME],
        error_type,
    )
