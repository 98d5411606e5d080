"""The span of something that is a whole in itself: a command, a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_django.tracing.current import SPAN_KEY, SUPPRESS_KEY, get_context
from otel_django.tracing.span import Span
from otel_django.tracing.tracer import NOTHING_BELOW

if TYPE_CHECKING:
    from opentelemetry.trace import SpanKind

    from otel_django.tracing.limits import Plain
    from otel_django.tracing.tracer import Tracer


def begin(tracer: Tracer, name: str, kind: SpanKind, attributes: dict[str, Plain]) -> Any:
    """A span below the current one, else the first of a trace; to be made current.

    None where there is nothing to do: tracing is suppressed, or the trace isn't recorded and that
    is current already.
    """
    context = get_context()
    outer: Any = context.get(SPAN_KEY)
    if context.get(SUPPRESS_KEY) or type(outer) in NOTHING_BELOW:
        return None
    return below(outer, tracer, name, kind, attributes)


def below(
    outer: Any, tracer: Tracer, name: str, kind: SpanKind, attributes: dict[str, Plain]
) -> Any:
    """A span below ``outer``, which may have any; None: the first of a trace."""
    if type(outer) is Span:
        if outer._local.stands_for_nothing(outer):
            return tracer.begin_local_root(name, kind, attributes)
        return tracer.begin(name, kind, attributes, outer)
    parent = None if outer is None else outer.get_span_context()
    if parent is not None and not parent.is_valid:
        parent = None
    return tracer.begin_local_root(name, kind, attributes, parent)
