"""What spans tell about tasks: how long they wait in the queue, how they end, where they run."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

from otel_django import names
from otel_django.cli.inert_text import inert

if TYPE_CHECKING:
    from otel_django.contracts import SpanRow

SUCCESSES: Final = frozenset({"SUCCESS", "SUCCESSFUL"})
RETRY: Final = "RETRY"


def task_name(span: SpanRow) -> str:
    """The task a span sends or runs, else empty."""
    name = span.attributes.get(names.CELERY_TASK_NAME) or span.attributes.get(
        names.DJANGO_TASK_NAME
    )
    return name if isinstance(name, str) else ""


def runs_task(span: SpanRow) -> bool:
    """Whether it is a task that a worker runs."""
    return span.kind == "consumer" and bool(task_name(span))


def delay_s(send: SpanRow) -> float | None:
    """How long the task of a span that sent one is told to wait; its run joins this trace.

    None for all other spans, those that failed, and those whose task begins a trace of its own:
    beat's, and of Django's framework.
    """
    attributes = send.attributes
    if send.kind != "producer" or send.status == "error":
        return None
    if names.CELERY_TASK_NAME not in attributes or names.CELERY_BEAT_ENTRY in attributes:
        return None
    return max(0.0, _timestamp(attributes.get(names.CELERY_TASK_ETA)) - send.start_ns / 1e9)


def _timestamp(eta: object) -> float:
    """Of a time in ISO 8601; 0 if it is none."""
    try:
        moment = datetime.fromisoformat(str(eta).replace("Z", "+00:00"))
    except ValueError:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def queue_wait_ns(span: SpanRow) -> int:
    """How long a task was in the queue before it began; 0 where that isn't known."""
    if not runs_task(span):
        return 0
    for name in (names.CELERY_TASK_QUEUE_WAIT, names.DJANGO_TASK_QUEUE_WAIT):
        wait_s = span.attributes.get(name)
        if isinstance(wait_s, int | float) and 0 < wait_s < 1e9:
            return int(wait_s * 1e9)
    return 0


def state(span: SpanRow) -> str:
    """``FAILURE``, ``RETRY``, ``REVOKED``; empty for a task that succeeded and other spans."""
    for name in (names.CELERY_TASK_STATE, names.DJANGO_TASK_STATUS):
        found = span.attributes.get(name)
        if isinstance(found, str) and found not in SUCCESSES:
            return inert(found[:40])
    return ""


def attempt(span: SpanRow) -> str:
    """``retry 1``, empty for a task's first run."""
    if span.kind == "producer":
        return ""  # the run it asks for says it
    retries = span.attributes.get(names.CELERY_TASK_RETRIES)
    if isinstance(retries, int) and retries > 0:
        return f"retry {retries}"
    number = span.attributes.get(names.DJANGO_TASK_ATTEMPT)
    return f"attempt {number}" if isinstance(number, int) and number > 1 else ""


def retry_reason(span: SpanRow) -> str:
    """``BankBusy: not now``, where a task will be tried again."""
    reason = span.attributes.get(names.CELERY_TASK_RETRY_REASON)
    if state(span) != RETRY or not isinstance(reason, str):
        return ""
    kind, colon, text = reason.partition(":")
    return inert(kind.rpartition(".")[2] + colon + text)


def worker(span: SpanRow) -> str:
    """The worker's name, such as ``celery@host``."""
    found = span.attributes.get(names.CELERY_WORKER)
    return inert(found[:80]) if isinstance(found, str) else ""
