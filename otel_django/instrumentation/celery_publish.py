"""Publishing a Celery task: one PRODUCER span from ``send_task`` until the broker has the message.

``send_task`` is where ``delay``, ``apply_async``, canvas, retries and beat all pass; the span is
begun and ended around it, so that it ends whatever happens inside. What the message looks like is
told by ``before_task_publish``, which is also where the headers are added.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, MutableMapping
from time import time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from otel_django import guard, names
from otel_django.instrumentation.celery_message import (
    BEAT_ENTRY,
    EXECUTION,
    REQUEST_ID,
    SENT_AT,
    Lineage,
    broker_attributes,
    carrier_of,
    destination,
)
from otel_django.instrumentation.on_import import when_imported
from otel_django.tracing import request_id
from otel_django.tracing.current import (
    SPAN_KEY,
    SUPPRESS_KEY,
    detach,
    get_context,
    reset_context,
    set_context,
)
from otel_django.tracing.exceptions import exception_type
from otel_django.tracing.span import Span
from otel_django.tracing.tracer import DroppedSpan

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.instrumentation.patching import Patches
    from otel_django.tracing.limits import Plain
    from otel_django.tracing.tracer import Tracer

_UID: Final = "otel_django"
_SPAN: Final = "otel_django-celery-publish"
_BEAT: Final = "otel_django-celery-beat"
_COUNTDOWN_POSITION: Final = 2
_PRODUCER = SpanKind.PRODUCER

_publishing: Publishing | None = None


class Publishing:
    """What all publishes of this process share."""

    def __init__(self, tracer: Tracer, settings: Settings) -> None:
        self._tracer = tracer
        self._carrier = carrier_of(settings.propagators)

    def begin(self, app: Any, name: str, countdown: Any) -> tuple[Any, Context] | None:
        """The span and the context to publish in; None where tracing is suppressed."""
        base = get_context()
        if base.get(SUPPRESS_KEY):
            return None
        attributes: dict[str, Plain] = {
            names.CELERY_TASK_NAME: name,
            names.MESSAGING_OPERATION_NAME: names.SEND_SPAN,
            names.MESSAGING_OPERATION_TYPE: names.SEND_SPAN,
            **broker_attributes(app),
        }
        if isinstance(countdown, int | float) and countdown:
            attributes[names.CELERY_TASK_COUNTDOWN] = countdown
        entry: Any = base.get(_BEAT)
        if entry is not None:
            attributes[names.CELERY_BEAT_ENTRY] = entry
        span = self._span(f"{names.SEND_SPAN} {name}", attributes, base.get(SPAN_KEY))
        return span, Context({**base, SPAN_KEY: span, _SPAN: span})

    def _span(self, name: str, attributes: dict[str, Plain], outer: Any) -> Any:
        if type(outer) is Span:
            return self._tracer.begin(name, _PRODUCER, attributes, outer)
        if type(outer) is DroppedSpan:
            return outer
        parent = None if outer is None else outer.get_span_context()
        if parent is not None and not parent.is_valid:
            parent = None
        return self._tracer.begin_local_root(name, _PRODUCER, attributes, parent)

    def describe(
        self,
        headers: MutableMapping[str, Any],
        body: Any,
        exchange: Any,
        routing_key: Any,
        declare: Any,
        properties: Any,
    ) -> None:
        """The message is made: say on the span what it is, and in its headers who sent it."""
        context = get_context()
        span: Any = context.get(_SPAN) or context.get(SPAN_KEY)
        if span is not None and span.get_span_context().is_valid:
            self._carrier.inject(headers, context, span.get_span_context())
        for name, value in (
            (SENT_AT, time()),
            (REQUEST_ID, request_id.current()),
            (BEAT_ENTRY, context.get(_BEAT)),
            (EXECUTION, None),  # a retry repeats the headers of the run before
        ):
            if value is None:
                headers.pop(name, None)
            else:
                headers[name] = value
        if type(span) is Span and span is context.get(_SPAN):
            own = span._attributes
            own[names.MESSAGING_DESTINATION_NAME] = destination(exchange, routing_key, declare)
            Lineage.of(body if isinstance(body, dict) else headers).add_to(own)
            priority = properties.get("priority")
            if isinstance(priority, int) and priority:
                own[names.CELERY_TASK_PRIORITY] = priority


def install(tracer: Tracer, settings: Settings, patches: Patches) -> Callable[[], None]:
    """Trace publishing once Celery is imported, without importing it; returns the undoing."""
    global _publishing
    _publishing = Publishing(tracer, settings)
    takers = (
        when_imported("celery.app.base", functools.partial(_patch_app, patches)),
        when_imported("celery.beat", functools.partial(_patch_beat, patches)),
    )

    def undo() -> None:
        global _publishing
        _publishing = None
        for take_back in takers:
            take_back()

    return undo


def _patch_app(patches: Patches) -> None:
    from celery.app.base import Celery
    from celery.signals import before_task_publish

    if not patches.holds(Celery, "send_task"):
        patches.wrap(Celery, "send_task", _send_task)
    before_task_publish.connect(_before_publish, weak=False, dispatch_uid=_UID)


def _patch_beat(patches: Patches) -> None:
    from celery.beat import Scheduler

    if not patches.holds(Scheduler, "apply_async"):
        patches.wrap(Scheduler, "apply_async", _apply_async)


def _send_task(original: Callable[..., Any]) -> Callable[..., Any]:
    def send_task(self: Any, name: str, *args: Any, **options: Any) -> Any:
        began = _began(self, name, args, options)
        if began is None:
            return original(self, name, *args, **options)
        span, context = began
        token = set_context(context)
        try:
            return original(self, name, *args, **options)
        except BaseException as exc:
            if type(span) is Span:
                span.record_exception(exc)
                span.fail(exception_type(exc))
            raise
        finally:
            reset_context(token)
            if type(span) is Span:
                span.end()

    return send_task


def _began(
    app: Any, name: str, args: tuple[Any, ...], options: dict[str, Any]
) -> tuple[Any, Context] | None:
    publishing = _publishing
    if publishing is None:
        return None
    try:
        countdown = options.get("countdown")
        if countdown is None and len(args) > _COUNTDOWN_POSITION:
            countdown = args[_COUNTDOWN_POSITION]
        return publishing.begin(app, name, countdown)
    except Exception:
        guard.caught("celery.publish")
        return None


def _before_publish(
    *,
    headers: MutableMapping[str, Any],
    body: Any,
    exchange: Any = None,
    routing_key: Any = None,
    declare: Any = None,
    properties: Any = None,
    **_: Any,
) -> None:
    publishing = _publishing
    if publishing is None:
        return
    try:
        publishing.describe(headers, body, exchange, routing_key, declare, properties or {})
    except Exception:
        guard.caught("celery.message")


def _apply_async(original: Callable[..., Any]) -> Callable[..., Any]:
    """Beat's scheduler hands over an entry that is due: say so on the publish and its message."""

    def apply_async(self: Any, entry: Any, *args: Any, **options: Any) -> Any:
        if _publishing is None:
            return original(self, entry, *args, **options)
        token = set_context(Context({**get_context(), _BEAT: str(entry.name)}))
        try:
            return original(self, entry, *args, **options)
        finally:
            detach(token)

    return apply_async
