"""Which span is current, cheaply."""

from __future__ import annotations

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


def recording_span() -> Span | None:
    """Our own span that is current and records, or None (also where tracing is suppressed)."""
    context = get_context()
    span = context.get(SPAN_KEY)
    if type(span) is Span and span._end_time is None:
        return None if context.get(SUPPRESS_KEY) else span
    return None


def attach(span: ApiSpan) -> Token[Context]:
    """Make ``span`` current; what else the context holds (baggage) stays."""
    return set_context(Context({**get_context(), SPAN_KEY: span}))


def detach(token: Token[Context]) -> None:
    """Undo ``attach``. A token of another context (a task that ended elsewhere) is ignored."""
    try:  # noqa: SIM105 - on every request: suppress() costs five times as much
        _variable.reset(token)
    except (ValueError, RuntimeError):
        pass
