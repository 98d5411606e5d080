"""A span's context in and out of a message's headers: a dict of lower-case names.

``traceparent`` and ``tracestate`` are written and read here; baggage and other formats (``b3``, …)
are left to upstream's propagators, as in ``propagation`` for requests.
"""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, Final

from opentelemetry.baggage import _BAGGAGE_KEY
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, get_current_span
from opentelemetry.trace.span import DEFAULT_TRACE_STATE

from otel_django.tracing.propagation import FLAGS, load_propagators, parse_traceparent

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
BAGGAGE: Final = "baggage"
_new_tuple = tuple.__new__
_from_bytes = int.from_bytes
_FLAGS: Final = {f"{value:02x}": flags for value, flags in enumerate(FLAGS)}
_SENTRYS: Final = "sentry-"
_NO_BAGGAGE: Final = Context()
_USUAL: Final = frozenset({"tracecontext", "baggage"})


def read_traceparent(traceparent: str) -> SpanContext | None:
    """``parse_traceparent`` without its regular expression, for the form that all senders use.

    Messages come from one's own programs: what isn't quite lower-case hexadecimal may pass.
    """
    if len(traceparent) != 55 or traceparent[:3] != "00-":
        return parse_traceparent(traceparent, None)
    try:
        trace_id = _from_bytes(unhexlify(traceparent[3:35]), "big")
        span_id = _from_bytes(unhexlify(traceparent[36:52]), "big")
        flags = _FLAGS[traceparent[53:]]
    except (ValueError, KeyError):
        return None
    if not trace_id or not span_id:
        return None
    return _new_tuple(SpanContext, (trace_id, span_id, True, flags, DEFAULT_TRACE_STATE, True))


class Carrier:
    """The propagators of ``OTEL_PROPAGATORS``, for messages."""

    def __init__(self, names: Sequence[str]) -> None:
        """
        Raises:
            ConfigurationError: a name that no installed package provides.
        """
        wanted = [] if "none" in names else list(dict.fromkeys(names))
        propagators = load_propagators(wanted)
        self._does_itself = "tracecontext" in wanted and set(wanted) <= _USUAL
        self._propagators = [
            each
            for name, each in zip(wanted, propagators, strict=True)
            if not (self._does_itself and name == "tracecontext")
        ]

    def inject(
        self, headers: MutableMapping[str, Any], context: Context, current: SpanContext
    ) -> None:
        """Write ``current``, which is the span in ``context``, and the context's baggage."""
        if self._does_itself:
            ids = (current[0], current[1], current[3])
            headers[TRACEPARENT] = "00-%032x-%016x-%02x" % ids  # noqa: UP031 - half of an f-string
            state = current[4]
            if state is not DEFAULT_TRACE_STATE and state:  # its truth takes a call
                headers[TRACESTATE] = state.to_header()
            else:
                headers.pop(TRACESTATE, None)  # of the message that this one repeats
            if BAGGAGE in headers and self._propagators:
                self._inject_baggage(headers, context)
                return
            if not context.get(_BAGGAGE_KEY):
                return
        for propagator in self._propagators:
            propagator.inject(headers, context)

    def _inject_baggage(self, headers: MutableMapping[str, Any], context: Context) -> None:
        """Replace what an earlier message left, but keep what Sentry has put beside it."""
        there = str(headers.pop(BAGGAGE))
        for propagator in self._propagators:
            propagator.inject(headers, context)
        kept = [item for item in there.split(",") if item.strip().startswith(_SENTRYS)]
        if kept:
            headers[BAGGAGE] = ",".join([*filter(None, [headers.get(BAGGAGE)]), *kept])

    def extract(self, headers: Mapping[str, Any]) -> tuple[SpanContext | None, Context]:
        """The sender's span context if the message names one, and a context with its baggage."""
        remote = None
        if self._does_itself:
            traceparent = headers.get(TRACEPARENT)
            if type(traceparent) is str:
                if TRACESTATE in headers:
                    state = headers[TRACESTATE]
                    remote = parse_traceparent(
                        traceparent, state if isinstance(state, str) else None
                    )
                else:
                    remote = read_traceparent(traceparent)
            if BAGGAGE not in headers:
                return remote, _NO_BAGGAGE
        context = Context()
        for propagator in self._propagators:
            context = propagator.extract(headers, context)
        found = get_current_span(context).get_span_context()
        return (found if found.is_valid else remote), context
