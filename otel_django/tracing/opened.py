"""Spans that a site opens itself, on whichever tracer provider is in charge."""

from __future__ import annotations

from asyncio import CancelledError
from contextvars import Token
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context

from otel_django import guard, names
from otel_django.tracing.current import SPAN_KEY, detach, get_context, set_context
from otel_django.tracing.tracer import DroppedSpan
from otel_django.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Span, TracerProvider

_BROKEN_OFF = (CancelledError, GeneratorExit)
"""Nobody waits for the result any more: no failure of the code inside."""


class Opener:
    """Opens and closes spans of one ``provider``: ours, or any other of the API."""

    def __init__(self, provider: TracerProvider) -> None:
        self.provider = provider
        self._start_span = provider.get_tracer(names.SCOPE, VERSION).start_span

    def open(self, name: str, attributes: Mapping[str, Any]) -> tuple[Span, Token[Context] | None]:
        """Start a span and make it current; what comes back is for ``close``."""
        context = get_context()
        current: Any = context.get(SPAN_KEY)
        if type(current) is DroppedSpan:
            return current, None
        span = self._start_span(name, None, attributes=attributes)
        return span, set_context(Context({**context, SPAN_KEY: span}))

    def close(
        self, span: Span, token: Token[Context] | None, exc: BaseException | None = None
    ) -> None:
        """End the span, failed if ``exc`` leaves its block."""
        if token is None:
            return
        detach(token)
        end(span, exc)

    def steps(self, name: str, attributes: Mapping[str, Any]) -> Steps:
        """Start the span of a generator."""
        return Steps(self._start_span(name, None, attributes=attributes))


class Steps:
    """The span of a generator: current while the body runs, not while it waits to be resumed."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._context = Context({**get_context(), SPAN_KEY: span})
        self._token: Any = None

    def resume(self) -> None:
        """The body goes on, with what was current in it."""
        self._token = set_context(self._context)

    def suspend(self) -> None:
        """The body has yielded, or is over."""
        self._context = get_context()
        detach(self._token)

    def end(self, exc: BaseException | None = None) -> None:
        """The body is over."""
        end(self._span, exc)


def end(span: Span, exc: BaseException | None) -> None:
    """End a span unless its block has done so, failed if ``exc`` is a failure."""
    try:
        if not span.is_recording():
            return
        if exc is None or isinstance(exc, _BROKEN_OFF):
            span.end()
        else:
            span.__exit__(type(exc), exc, exc.__traceback__)
    except Exception:
        guard.caught("span.end")
