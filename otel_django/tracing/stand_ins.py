"""Spans of another provider among ours (guest mode): each has a span of ours that stands for it.

A query below such a span is begun as a child of the stand-in, which has the same context, and
belongs to the same local trace as the span's own parent. A stand-in is never ended or sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import SpanKind

from otel_django import guard
from otel_django.tracing.current import SPAN_KEY, get_context
from otel_django.tracing.local_trace import LocalTrace
from otel_django.tracing.span import Span

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from otel_django.tracing.tracer import Tracer

_STAND_IN = "_otel_django"
"""The attribute of the other provider's span that holds ours."""


class StandIns(SpanProcessor):
    """Makes them; a span processor of the other provider, which can't be taken from it again."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self.active = False

    def on_start(self, span: Any, parent_context: Context | None = None) -> None:
        """Give ``span`` a stand-in in its parent's local trace."""
        if self.active and type(span) is not Span:
            context = get_context() if parent_context is None else parent_context
            with guard.guarded("stand_ins.on_start"):
                self._stand_in(span, context.get(SPAN_KEY))

    def get(self, span: Any) -> Span | None:
        """What stands for ``span``; None where that doesn't record or isn't sampled."""
        try:
            if not span.is_recording():
                return None
            found: Span | None = getattr(span, _STAND_IN, None)
            return self._stand_in(span, None) if found is None else found
        except Exception:
            guard.caught("stand_ins.get")
            return None

    def _stand_in(self, span: Any, parent: Any) -> Span | None:
        context = span.get_span_context()
        if not context.trace_flags.sampled:
            return None
        local = self._local_trace(parent)
        stand_in = Span(
            self._tracer,
            local or LocalTrace(self._tracer.generation, sampled=True),
            getattr(span, "name", ""),
            getattr(span, "kind", SpanKind.INTERNAL),
            context,
            getattr(span, "parent", None),
            {},
            getattr(span, "start_time", None) or 0,
        )
        try:
            setattr(span, _STAND_IN, stand_in)
        except AttributeError:  # a span with slots: nobody will find it again
            return stand_in
        if local is None:
            stand_in._local.root = stand_in
            _watch_end(span, stand_in)
        return stand_in

    def _local_trace(self, parent: Any) -> LocalTrace | None:
        ours = parent if type(parent) is Span else getattr(parent, _STAND_IN, None)
        if ours is None or ours._local.generation != self._tracer.generation:
            return None
        local: LocalTrace = ours._local
        return local


def _watch_end(span: Any, stand_in: Span) -> None:
    """Have a local root tell what was found below it (repeated statements) before it ends.

    Processors come too late for that: when they are told, the SDK's span takes no more attributes.
    """
    end = span.end

    def end_of_root(end_time: int | None = None) -> None:
        vars(span).pop("end", None)
        with guard.guarded("stand_ins.end"):
            _finish(span, stand_in)
        end(end_time)

    span.end = end_of_root


def _finish(span: Any, stand_in: Span) -> None:
    local = stand_in._local
    if local.finish is not None and span.is_recording():
        local.finish(stand_in)
        span.set_attributes(stand_in._attributes)
        for event in stand_in._events:
            span.add_event(event.name, event.attributes, event.timestamp)
    local.root = None
