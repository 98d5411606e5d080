"""Which span is current, cheaply."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, cast

from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.trace.propagation import _SPAN_KEY

from otel_django.tracing.span import Span

if TYPE_CHECKING:
    from opentelemetry.trace import Span as ApiSpan

SPAN_KEY = _SPAN_KEY
SUPPRESS_KEY = context_api._SUPPRESS_INSTRUMENTATION_KEY


def _context_variable() -> ContextVar[Context]:
    """The API's own variable, so that reading it takes no call through three layers."""
    runtime = context_api._RUNTIME_CONTEXT
    if type(runtime) is ContextVarsRuntimeContext:
        return runtime._current_context
    return cast("ContextVar[Context]", _ForeignContext(runtime))


class _ForeignContext:
    """The three verbs of a ContextVar over a run-time context chosen by ``OTEL_PYTHON_CONTEXT``."""

    def __init__(self, runtime: Any) -> None:
        self.get = runtime.get_current
        self.set = runtime.attach
        self.reset = runtime.detach


_variable = _context_variable()
get_context = _variable.get
set_context = _variable.set
reset_context = _variable.reset
"""As ``detach``, for where the token can't be of another context: else it raises."""


_stand_in: Callable[[Any], Span | None] | None = None


def set_stand_ins(stand_in: Callable[[Any], Span | None] | None) -> None:
    """Have ``stand_in`` give a span of ours for one of another provider's; None: there are none."""
    global _stand_in
    _stand_in = stand_in


def stand_in_for(span: ApiSpan) -> Span | None:
    """Our span in place of another provider's recorded one, to begin children below; else None."""
    return None if _stand_in is None else _stand_in(span)


def recording_span() -> Span | None:
    """The span to begin children below: current and recorded, and tracing isn't suppressed.

    Our own, or what stands for another provider's. None where there is none.
    """
    context = get_context()
    span = context.get(SPAN_KEY)
    if type(span) is Span and span._end_time is None:
        return None if context.get(SUPPRESS_KEY) else span
    if _stand_in is None or span is None or context.get(SUPPRESS_KEY):
        return None
    return _stand_in(cast("Any", span))


def attach(span: ApiSpan) -> Token[Context]:
    """Make ``span`` current; what else the context holds (baggage) stays."""
    return set_context(Context({**get_context(), SPAN_KEY: span}))


def detach(token: Token[Context]) -> None:
    """Undo ``attach``. A token of another context (a task that ended elsewhere) is ignored."""
    try:  # noqa: SIM105 - on every request: suppress() costs five times as much
        _variable.reset(token)
    except (ValueError, RuntimeError):
        pass
