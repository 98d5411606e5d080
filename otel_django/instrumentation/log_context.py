"""Where a log record belongs: trace, request and task that are current."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from otel_django import names
from otel_django.instrumentation.http_attributes import route_template
from otel_django.logs.journal import Place
from otel_django.tracing import request_id
from otel_django.tracing.current import SPAN_KEY, get_context
from otel_django.tracing.span import Span

if TYPE_CHECKING:
    from collections.abc import Mapping

_NOWHERE: Final = Place()
_MOST_ROUTES: Final = 2000
_routes: dict[tuple[str, str], str] = {}


def place(span: Any = None) -> Place:
    """That of the caller; with ``span``, its trace and what that began with."""
    context = get_context()
    current: Any = context.get(SPAN_KEY) if span is None else span
    task, task_id, key = _celery_task()
    if current is None:
        if task is None:
            return _NOWHERE
        return Place(task=task, task_id=task_id, task_name_key=key)
    trace = getattr(current, "_context", None) or current.get_span_context()
    if task is None:
        root = current._local.root if isinstance(current, Span) else None
        if root is not None:
            task, task_id, key = _task_of(root)
    holder: Any = context.get(request_id.REQUEST_KEY)
    return Place(
        trace.trace_id,
        trace.span_id,
        int(trace.trace_flags),
        context.get(request_id.CONTEXT_KEY),  # type: ignore[arg-type]
        None if holder is None else _route(holder),
        task,
        task_id,
        key,
    )


def _celery_task() -> tuple[str | None, str | None, str]:
    """The task that runs on this thread, whether traced or not."""
    state: Any = sys.modules.get("celery._state")
    task = None if state is None else state._task_stack.top
    if task is None:
        return None, None, names.CELERY_TASK_NAME
    return task.name, task.request.id, names.CELERY_TASK_NAME


def _task_of(root: Span) -> tuple[str | None, str | None, str]:
    """The task of Django's whose span is the first here."""
    own: Mapping[str, Any] = root._own
    name = own.get(names.DJANGO_TASK_NAME)
    if name is None:
        return None, None, names.DJANGO_TASK_NAME
    return name, own.get(names.MESSAGING_MESSAGE_ID), names.DJANGO_TASK_NAME


def _route(holder: list[Any]) -> str | None:
    """The route of the request that is served; None before it is known."""
    request = holder[0]
    match = None if request is None else request.resolver_match
    if match is None:
        return None
    key = (match.route, request.META.get("SCRIPT_NAME", ""))
    route = _routes.get(key)
    if route is None:
        route = key[1].rstrip("/") + route_template(match.route)
        if len(_routes) < _MOST_ROUTES:
            _routes[key] = route
    return route
