"""The caller's context, read from a request's headers.

``traceparent`` is parsed here, in the way of upstream's propagator (a property test holds both
equal); baggage and other formats (``b3``, ``jaeger``, …) are left to upstream's classes.
Headers come as a WSGI-style environ: ``HTTP_TRACEPARENT``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter, TextMapPropagator
from opentelemetry.trace import SpanContext, TraceFlags, get_current_span
from opentelemetry.trace.span import DEFAULT_TRACE_STATE, TraceState

from otel_django.errors import ConfigurationError

Environ: TypeAlias = Mapping[str, Any]

ENTRY_POINT_GROUP: Final = "opentelemetry_propagator"

FLAGS: Final = tuple(TraceFlags(value) for value in range(256))
"""W3C trace flags by their number."""
_new_tuple = tuple.__new__
_MAX_TRACEPARENT = 512
_MAX_TRACESTATE = 8192
_traceparent = re.compile(
    r"[ \t]*([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:(-.*)|[ \t]*)$"
).match


def parse_traceparent(traceparent: str, tracestate: str | None) -> SpanContext | None:
    """The remote context of the two W3C Trace Context headers, None if ``traceparent`` is wrong."""
    if len(traceparent) > _MAX_TRACEPARENT:
        return None
    match = _traceparent(traceparent)
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more):
        return None
    trace_number = int(trace_id, 16)
    span_number = int(span_id, 16)
    if not trace_number or not span_number:
        return None
    state = DEFAULT_TRACE_STATE
    if tracestate is not None and len(tracestate) <= _MAX_TRACESTATE:
        state = TraceState.from_header([tracestate])
    # What the class makes of these arguments, without looking at them again.
    return _new_tuple(
        SpanContext, (trace_number, span_number, True, FLAGS[int(flags, 16)], state, True)
    )


class EnvironGetter(Getter[Environ]):
    """Lets upstream's propagators read a WSGI-style environ."""

    def get(self, carrier: Environ, key: str) -> list[str] | None:
        """The header ``key`` (``X-B3-TraceId``) as a list of one, None if it didn't come."""
        value = carrier.get(environ_key(key))
        return None if value is None else [value]

    def keys(self, carrier: Environ) -> list[str]:
        """The names of all headers, in lower case."""
        return [
            key[5:].lower().replace("_", "-") for key in carrier if key[:5] == "HTTP_" and key[5:]
        ]


_GETTER = EnvironGetter()


class Inbound:
    """The propagators of ``OTEL_PROPAGATORS``, for requests that come in.

    ``headers``: environ keys of the headers that carry a context; without one of them there is
    nothing to extract, nor to ask the trust policy about.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """
        Raises:
            ConfigurationError: a name that no installed package provides.
        """
        wanted = [] if "none" in names else list(dict.fromkeys(names))
        propagators = load_propagators(wanted)
        self.headers = tuple(
            environ_key(field) for each in propagators for field in sorted(each.fields)
        )
        self.reads_any_header = any(name not in _FIELDS_ARE_ALL for name in wanted)
        """Whether a propagator looks for headers beyond ``headers`` (``uberctx-…``)."""
        self._parses_itself = wanted[:1] == ["tracecontext"] and set(wanted) <= _USUAL
        self._propagators = tuple(propagators[1:] if self._parses_itself else propagators)

    def extract(self, environ: Environ) -> tuple[SpanContext | None, Context | None]:
        """The caller's span context, and a context with its baggage if it sent any."""
        remote = None
        if self._parses_itself:
            traceparent = environ.get("HTTP_TRACEPARENT")
            if traceparent is not None:
                remote = parse_traceparent(traceparent, environ.get("HTTP_TRACESTATE"))
            if "HTTP_BAGGAGE" not in environ:
                return remote, None
        context = Context()
        for propagator in self._propagators:
            context = propagator.extract(environ, context, _GETTER)
        found = get_current_span(context).get_span_context()
        return (found if found.is_valid else remote), (context or None)


_USUAL = frozenset({"tracecontext", "baggage"})
_FIELDS_ARE_ALL = frozenset({"tracecontext", "baggage", "b3", "b3multi", "xray"})


def environ_key(header: str) -> str:
    """``X-Request-ID`` → ``HTTP_X_REQUEST_ID``."""
    return "HTTP_" + header.upper().replace("-", "_")


def load_propagators(names: Iterable[str]) -> list[TextMapPropagator]:
    """Upstream's propagator classes by their entry points' names.

    Raises:
        ConfigurationError: a name that no installed package provides.
    """
    loaded: list[TextMapPropagator] = []
    for name in names:
        if name == "baggage":  # the usual one; spares a search through all installed packages
            from opentelemetry.baggage.propagation import W3CBaggagePropagator

            loaded.append(W3CBaggagePropagator())
        elif name == "tracecontext":
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

            loaded.append(TraceContextTextMapPropagator())
        else:
            loaded.append(_from_entry_point(name))
    return loaded


def _from_entry_point(name: str) -> TextMapPropagator:
    from importlib.metadata import entry_points

    for entry_point in entry_points(group=ENTRY_POINT_GROUP, name=name):
        propagator: TextMapPropagator = entry_point.load()()
        return propagator
    raise ConfigurationError(
        f"OTEL_PROPAGATORS names {name!r}, which no installed package provides; "
        "tracecontext and baggage are built in, b3 and jaeger are packages of their own"
    )
