"""Publishing a Celery task: one PRODUCER span from ``send_task`` until the broker has the message.

``send_task`` is where ``delay``, ``apply_async``, canvas, retries and beat all pass; the span is
begun and ended around it, so that it ends whatever happens inside. What the message looks like is
told by ``before_task_publish``, which is also where the headers are added.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, MutableMapping
from time import time, time_ns
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from otel_django import guard, names
from otel_django.instrumentation import unit_of_work
from otel_django.instrumentation.celery_message import (
    BEAT_ENTRY,
    EXECUTION,
    REQUEST_ID,
    SENT_AT,
    add_lineage,
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
from otel_django.tracing.span_parts import SharedAttributes
from otel_django.tracing.tracer import NOTHING_BELOW, RECORDED

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.instrumentation.celery_metrics import TaskMetrics
    from otel_django.instrumentation.patching import Patches
    from otel_django.tracing.tracer import Tracer

_UID: Final = "otel_django"
_OWN: Final = "otel_django-celery-publish"
_BEAT: Final = "otel_django-celery-beat"
_SHAPES: Final = "_otel_django_shapes"
_MOST_SHAPES: Final = 4096
_COUNTDOWN_POSITION: Final = 2
_PRODUCER = SpanKind.PRODUCER

_publishing: Publishing | None = None


class _Shape(NamedTuple):
    """What all publishes of one task by one app have in common; ``by_queue`` adds the queue."""

    span_name: str
    shared: SharedAttributes
    by_queue: dict[str, SharedAttributes]


class _Sending:
    """A publish that goes on; ``queue`` is known once the message is made.

    ``recorded`` is its own span, None where ``span`` is only what is current.
    """

    __slots__ = ("queue", "recorded", "shape", "span", "start_ns")

    def __init__(self, span: Any, shape: _Shape, recorded: Span | None, start_ns: int) -> None:
        self.span = span
        self.recorded = recorded
        self.shape = shape
        self.queue: Any = None
        self.start_ns = start_ns

    def shared(self) -> Mapping[str, Any]:
        """What all publishes of the task to its queue say."""
        if self.queue is None:
            return self.shape.shared.values
        return (self.shape.by_queue.get(self.queue) or _learn_queue(self.shape, self.queue)).values


class Publishing:
    """What all publishes of this process share."""

    def __init__(
        self, tracer: Tracer, settings: Settings, metrics: TaskMetrics | None = None
    ) -> None:
        self.carrier = carrier_of(settings.propagators)
        self.metrics = metrics
        self._tracer = tracer

    def begin(
        self, app: Any, name: str, args: tuple[Any, ...], options: Mapping[str, Any]
    ) -> tuple[_Sending, Context] | None:
        """What is being sent, and the context for it; None where tracing is suppressed.

        ``args`` and ``options`` are those of ``send_task`` after the name.
        """
        base = get_context()
        if base.get(SUPPRESS_KEY):
            return None
        shape = _shapes_of(app).get(name) or _learn(app, name)
        outer: Any = base.get(SPAN_KEY)
        span: Any = outer
        if type(outer) not in NOTHING_BELOW:
            span = self._span(shape, outer)
        if span is not outer and type(span) in RECORDED:
            sending = _Sending(span, shape, span, span._start_time)
            countdown = options.get("countdown")
            if countdown is None and len(args) > _COUNTDOWN_POSITION:
                countdown = args[_COUNTDOWN_POSITION]
            if countdown and isinstance(countdown, (int, float)):
                span._own[names.CELERY_TASK_COUNTDOWN] = countdown
            entry = base.get(_BEAT)
            if entry is not None:
                span._own[names.CELERY_BEAT_ENTRY] = entry
        else:
            sending = _Sending(span, shape, None, time_ns())
        return sending, Context({**base, SPAN_KEY: span, _OWN: sending})

    def _span(self, shape: _Shape, outer: Any) -> Any:
        """The publish's, below ``outer``; not made current."""
        tracer = self._tracer
        if tracer.straight is None or tracer.asks_sampler:
            # Somebody looks at the span from its beginning.
            own = dict(shape.shared.values)
            return unit_of_work.below(outer, tracer, shape.span_name, _PRODUCER, own)
        if type(outer) is Span and not outer._local.ambient:
            return tracer.begin_alike(shape.span_name, _PRODUCER, shape.shared, {}, outer)
        span = unit_of_work.below(outer, tracer, shape.span_name, _PRODUCER, {})
        if type(span) in RECORDED:
            span._shared = shape.shared
        return span

    def end(self, sending: _Sending, exc: BaseException | None) -> None:
        """The broker has the message, or ``exc`` says why it hasn't."""
        error_type = None if exc is None else exception_type(exc)
        span = sending.recorded
        if self.metrics is not None:
            self.metrics.sent(sending.shared(), sending.start_ns, error_type, span)
        if span is not None:
            if exc is not None and error_type is not None:
                span.record_exception(exc)
                span.fail(error_type)
            span.end()

    def describe(
        self, headers: MutableMapping[str, Any], body: Any, queue: str, properties: Any
    ) -> None:
        """The message is made: say on the span what it is, and in its headers who sent it."""
        headers.pop(EXECUTION, None)  # of the run that sends itself again; no broker need take it
        context = get_context()
        own: Any = context.get(_OWN)
        span: Any = context.get(SPAN_KEY)
        if span is not None:
            current = span.get_span_context()
            if current[0]:
                self.carrier.inject(headers, context, current)
        if SENT_AT in headers:  # a retry repeats the headers of the message before
            for name in (REQUEST_ID, BEAT_ENTRY):
                headers.pop(name, None)
        headers[SENT_AT] = time()
        given_id = context.get(request_id.CONTEXT_KEY)
        entry = context.get(_BEAT)
        if given_id is not None:
            headers[REQUEST_ID] = given_id
        if entry is not None:
            headers[BEAT_ENTRY] = entry
        if own is not None and own.span is span:
            own.queue = queue
            if own.recorded is not None:
                _tell(own, body if isinstance(body, dict) else headers, properties)


def _tell(sending: _Sending, fields: Mapping[str, Any], properties: Any) -> None:
    """What the message is, on the span."""
    span, shape = sending.span, sending.shape
    if span._shared is shape.shared:
        span._shared = shape.by_queue.get(sending.queue) or _learn_queue(shape, sending.queue)
    else:
        span._attributes[names.MESSAGING_DESTINATION_NAME] = sending.queue
    own_attributes = span._own
    add_lineage(fields, own_attributes)
    priority = properties.get("priority") if properties else None
    if priority and isinstance(priority, int):
        own_attributes[names.CELERY_TASK_PRIORITY] = priority


def _shapes_of(app: Any) -> dict[str, _Shape]:
    """Kept on the app: a look-up in a mapping of weak references takes several times as long."""
    shapes: dict[str, _Shape] | None = app.__dict__.get(_SHAPES)
    if shapes is None:
        shapes = app.__dict__[_SHAPES] = {}
    return shapes


def _learn(app: Any, name: str) -> _Shape:
    shared = SharedAttributes(
        {
            names.CELERY_TASK_NAME: name,
            names.MESSAGING_OPERATION_NAME: names.SEND_SPAN,
            names.MESSAGING_OPERATION_TYPE: names.SEND_SPAN,
            **broker_attributes(app),
        }
    )
    shape = _Shape(f"{names.SEND_SPAN} {name}", shared, {})
    shapes = _shapes_of(app)
    if len(shapes) < _MOST_SHAPES:
        shapes[name] = shape
    return shape


def _learn_queue(shape: _Shape, queue: str) -> SharedAttributes:
    shared = SharedAttributes({**shape.shared.values, names.MESSAGING_DESTINATION_NAME: queue})
    if len(shape.by_queue) < _MOST_SHAPES:
        shape.by_queue[queue] = shared
    return shared


def install(
    tracer: Tracer, settings: Settings, patches: Patches, metrics: TaskMetrics | None = None
) -> Callable[[], None]:
    """Trace publishing once Celery is imported, without importing it; returns the undoing."""
    global _publishing
    _publishing = Publishing(tracer, settings, metrics)
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
        publishing = _publishing
        began = None
        if publishing is not None:
            try:
                began = publishing.begin(self, name, args, options)
            except Exception:
                guard.caught("celery.publish")
        if publishing is None or began is None:
            return original(self, name, *args, **options)
        sending, context = began
        token = set_context(context)
        failed: BaseException | None = None
        try:
            return original(self, name, *args, **options)
        except BaseException as exc:
            failed = exc
            raise
        finally:
            reset_context(token)
            try:
                publishing.end(sending, failed)
            except Exception:
                guard.caught("celery.published")

    return send_task


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
        queue = destination(exchange, routing_key, declare)
        publishing.describe(headers, body, queue, properties)
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
