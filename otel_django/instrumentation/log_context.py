"""Where a log record belongs: trace, request and task that are current."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from otel_django import names
from otel_django.instrumentation.http_attributes import route_template
from otel_django.logs.place import Place
from otel_django.tracing import request_id
from otel_django.tracing.current import SPAN_KEY, get_context
from otel_django.tracing.span import Span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context

_NOWHERE: Final = Place()
_last: tuple[Context | None, Place] = (None, _NOWHERE)
"""A context doesn't change, and many records of one follow each other."""
_MOST_ROUTES: Final = 2000
_routes: dict[tuple[str, str], str] = {}


def place(span: Any = None) -> Place:
    """That of the caller; with ``span``, its trace and what that began with."""
    global _last
    context = get_context()
    task = _celery_task()
    last_context, last_place = _last
    if context is last_context and task is None and span is None:
        return last_place
    current: Any = context.get(SPAN_KEY) if span is None else span
    if current is None:
        return _NOWHERE if task is None else Place(0, 0, 0, None, None, *task)
    holder: Any = context.get(request_id.REQUEST_KEY)
    trace = getattr(current, "_context", None) or current.get_span_context()
    found = Place(
        trace.trace_id,
        trace.span_id,
        int(trace.trace_flags),
        context.get(request_id.CONTEXT_KEY) or _request_id_of(span),  # type: ignore[arg-type]
        None if holder is None else _route(holder),
        *(task or _django_task(current)),
    )
    if task is None and span is None and (holder is None or found.route is not None):
        _last = (context, found)
    return found


def _request_id_of(span: Any) -> str | None:
    """That of the request or task whose span is given; it may not be current any more."""
    return span._local.request_id if isinstance(span, Span) else None


def _celery_task() -> tuple[str, str | None, str] | None:
    """The task that runs on this thread, whether traced or not."""
    # Another thread may be importing Celery just now.
    tasks: Any = getattr(sys.modules.get("celery._state"), "_task_stack", None)
    task = None if tasks is None else tasks.top
    return None if task is None else (task.name, task.request.id, names.CELERY_TASK_NAME)


def _django_task(current: Any) -> tuple[str | None, str | None, str]:
    """The task of Django's whose span is the first here."""
    root = current._local.root if isinstance(current, Span) else None
    own: Mapping[str, Any] = {} if root is None else root._own
    name = own.get(names.DJANGO_TASK_NAME)
    task_id = None if name is None else own.get(names.MESSAGING_MESSAGE_ID)
    return name, task_id, names.DJANGO_TASK_NAME


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
