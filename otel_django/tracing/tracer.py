"""Starts spans: the API's way for everybody, a cheaper way for our own instrumentations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from os import getpid
from time import time_ns
from typing import TYPE_CHECKING, Any, Final, cast

from opentelemetry import trace as trace_api
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan, SpanContext, SpanKind, TraceFlags
from opentelemetry.util._decorator import _agnosticcontextmanager

from otel_django.tracing.current import SPAN_KEY, get_context
from otel_django.tracing.local_trace import LocalTrace
from otel_django.tracing.samplers import Custom, with_threshold
from otel_django.tracing.span import UNSET, Span
from otel_django.tracing.span_parts import Origin
from otel_django.tracing.thinning import SoleSpan

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationInfo, InstrumentationScope
    from opentelemetry.util.types import Attributes

    from otel_django.tracing.limits import Normaliser, Plain
    from otel_django.tracing.provider import TracerProvider
    from otel_django.tracing.samplers import Head
    from otel_django.tracing.span_parts import SharedAttributes

# W3C: bit 0 sampled, bit 1 random trace id.
_FLAGS = tuple(TraceFlags(value) for value in range(4))

_new_tuple = tuple.__new__
_new = object.__new__


class DroppedSpan(NonRecordingSpan):
    """The current span of a trace that isn't recorded; its children are this same object.

    ``queries`` and ``query_ns`` are as in ``LocalTrace``.
    """

    queries = 0
    query_ns = 0


NOTHING_BELOW: Final = (DroppedSpan, SoleSpan)
"""Current spans of these types have no children."""
RECORDED: Final = (Span, SoleSpan)
"""The types of spans that say something: of others ``isinstance(…, Span)`` takes long."""


class Tracer(trace_api.Tracer):
    """One instrumentation scope's tracer. Made by ``TracerProvider.get_tracer``."""

    def __init__(
        self,
        provider: TracerProvider,
        scope: InstrumentationScope,
        info: InstrumentationInfo,
        *,
        enabled: bool = True,
    ) -> None:
        self.provider = provider
        self.sampler = provider.sampler
        self.id_generator = provider.id_generator
        self.origin = Origin(provider.resource, scope, info)
        self.normaliser: Normaliser = provider.normaliser
        self.exceptions = provider.exceptions
        self.exception_events = provider.exception_events
        self.processors: Sequence[Any] = provider.processors
        self.emit = provider.emit
        self.sink = provider.sink
        self.generation = provider.generation
        self.pid = provider.pid
        self._enabled = enabled
        self._bits = provider.id_generator.bits
        self._root_flags = 2 * provider.id_generator.is_trace_id_random()
        self._head = provider.sampler.head
        self._root_head = provider.sampler.root_head
        self._ask = self._asked if isinstance(provider.sampler, Custom) else None
        self.asks_sampler = self._ask is not None
        """Whether a sampler of the user's looks at the attributes a local root begins with."""
        self._keep = provider.keep
        self.thinning = provider.thinning
        self.inside: Callable[[], bool] | None = None
        """Set where another instrumentation's spans cover this scope's (``provider.cover``)."""
        self.straight = None if self.processors or self._keep is not None else self.sink
        """The sink, where nobody else wants to know that a span ends."""

    # --- what the SDK's provider and configurators call

    def _set_tracer_config(self, tracer_config: Any) -> None:
        self._enabled = tracer_config.is_enabled

    def _set_resource(self, resource: Resource) -> None:
        self.origin = self.origin._replace(resource=resource)

    def _is_enabled(self) -> bool:
        return self._enabled

    # --- what our instrumentations call

    def begin(
        self,
        name: str,
        kind: SpanKind,
        attributes: dict[str, Plain],
        parent: Span,
        start_time: int | None = None,
        announce: bool = True,
    ) -> Span:
        """A child of ``parent``, not made current. Takes over ``attributes``: plain, safe, few.

        Without ``announce`` the caller tells the user's processors.
        """
        context = parent._context
        local = parent._local
        forked = local.generation != self.generation
        if forked:  # the parent process ends the parent; here a local part of its own begins
            local = LocalTrace(self.generation, local.sampled)
            if self._keep is not None and self._keep.holds(local.sampled, context[4]):
                local.held = []
        span = Span(
            self,
            local,
            name,
            kind,
            _new_tuple(
                SpanContext,
                (context[0], self._bits(64) or 1, False, context[3], context[4], True),
            ),
            context,
            attributes,
            time_ns() if start_time is None else start_time,
        )
        if forked:
            local.root = span
        if announce and self.processors:
            self.provider.started(span, None)
        return span

    def begin_alike(
        self,
        name: str,
        kind: SpanKind,
        shared: SharedAttributes,
        own: dict[str, Plain],
        parent: Span,
    ) -> Span:
        """As ``begin`` for spans that have ``shared`` in common; ``own`` has other keys."""
        context = parent._context
        local = parent._local
        if self.processors or local.generation != self.generation:
            return self.begin(name, kind, {**shared.values, **own}, parent)
        span = _new(Span)  # the slots set here: what a class does to call __init__ costs more
        span._tracer = self
        span._local = local
        span._name = name
        span._kind = kind
        span._context = _new_tuple(
            SpanContext, (context[0], self._bits(64) or 1, False, context[3], context[4], True)
        )
        span._parent = context
        span._own = own
        span._shared = shared
        span._end_time = None
        span._status = UNSET
        span._origin = self.origin
        span._rare = None
        span._large_bytes = 0
        span._start_time = time_ns()
        return span

    def begin_local_root(
        self,
        name: str,
        kind: SpanKind,
        attributes: dict[str, Plain],
        parent: SpanContext | None = None,
        start_time: int | None = None,
        announce: bool = True,
        trace_id: int = 0,
        span_id: int = 0,
        sole: bool = False,
    ) -> Span | NonRecordingSpan:
        """The first span of a request or task in this process; the sampler decides.

        ``parent`` is the caller's valid context or None. What comes back is to be made current;
        where it doesn't record, it is a ``DroppedSpan`` (of a tracer switched off, any other).
        ``span_id``, and ``trace_id`` where there is no parent, are given where another process
        knows them already; 0: new ones. A ``sole`` one leaves if it has failed or was slow, and
        has nothing below it.
        """
        if getpid() != self.pid:
            self.provider.noticed_fork()
        if not self._enabled:
            return INVALID_SPAN if parent is None else NonRecordingSpan(parent)
        if parent is None:
            trace_id = trace_id or self._bits(128) or 1
            flags = self._root_flags
            sampled, state = self._root_head or (
                self._head(None, trace_id)
                if self._ask is None
                else self._ask(None, trace_id, name, kind, attributes)
            )
        else:
            trace_id = parent[0]
            flags = parent[3] & 2
            sampled, state = (
                self._head(parent, trace_id)
                if self._ask is None
                else self._ask(parent, trace_id, name, kind, attributes)
            )
        keep = self._keep
        kind_of_span = Span
        thinning = self.thinning
        if thinning is not None and (sampled or keep is not None):
            head = thinning.head(sampled, state, trace_id)
            if head is None:
                sampled, state = False, with_threshold(state, None)
                kind_of_span = SoleSpan
            else:
                sampled, state = head
        if sole and sampled:
            sampled, state = False, with_threshold(state, None)
            kind_of_span = SoleSpan
        context: SpanContext = _new_tuple(
            SpanContext,
            (trace_id, span_id or self._bits(64) or 1, False, _FLAGS[flags | sampled], state, True),
        )
        if not sampled and keep is None and kind_of_span is Span:
            dropped = _new(DroppedSpan)  # what its class does takes three times as long
            dropped._context = context
            return dropped
        local = LocalTrace(self.generation, sampled)
        span = _new(kind_of_span)  # as in ``begin_alike``
        span._tracer = self
        span._local = local
        span._name = name
        span._kind = kind
        span._context = context
        span._parent = parent
        span._own = attributes
        span._shared = None
        span._end_time = None
        span._status = UNSET
        span._origin = self.origin
        span._rare = None
        span._large_bytes = 0
        span._start_time = time_ns() if start_time is None else start_time
        local.root = span
        if keep is not None and kind_of_span is Span and keep.holds(sampled, state):
            local.held = []
        if announce and self.processors:
            self.provider.started(span, None)
        return span

    def _asked(
        self,
        parent: SpanContext | None,
        trace_id: int,
        name: str,
        kind: SpanKind,
        attributes: dict[str, Plain],
    ) -> Head:
        """What a sampler of the user's says; the attributes it gives are added."""
        sampler = cast("Custom", self.sampler)
        head, given = sampler.ask(parent, trace_id, name, kind, attributes)
        for key, value in given.items():
            if attributes.get(key) is not value:
                attributes[key] = self.normaliser.value(key, value)
        return head

    # --- the API

    def start_span(  # noqa: C901, PLR0912 - the API's signature, one pass
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[trace_api.Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> trace_api.Span:
        """A span below the current one (or the one in ``context``), not made current."""
        current: Any = (get_context() if context is None else context).get(SPAN_KEY)
        if type(current) is DroppedSpan:
            return current
        if type(current) is SoleSpan:
            return DroppedSpan(current._context)
        if self.inside is not None and self.inside():
            return DroppedSpan((current or INVALID_SPAN).get_span_context())
        if not self._enabled:
            return INVALID_SPAN if current is None else NonRecordingSpan(current.get_span_context())
        normaliser = self.normaliser
        plain, dropped = normaliser.attributes(attributes, normaliser.limits.attributes)
        if type(current) is Span:
            span = self.begin(str(name), kind, plain, current, start_time, announce=False)
        else:
            parent = None if current is None else current.get_span_context()
            if parent is not None and not parent.is_valid:
                parent = None
            root = self.begin_local_root(str(name), kind, plain, parent, start_time, announce=False)
            if not isinstance(root, Span):
                return root
            span = root
        if dropped:
            span._dropped_attributes = dropped
        for value in plain.values():
            if type(value) is not int and type(value) is not bool:
                span._account(value)
        for link in links or ():
            if link is not None:
                span.add_link(link.context, link.attributes)
        if not (record_exception and set_status_on_exception):
            span._on_exit = int(record_exception) | 2 * int(set_status_on_exception)
        if self.processors:
            self.provider.started(span, context)
        return span

    @_agnosticcontextmanager
    def start_as_current_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[trace_api.Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> Iterator[trace_api.Span]:
        """The same as a context manager or decorator (functions and coroutine functions)."""
        span = self.start_span(
            name,
            context,
            kind,
            attributes,
            links,
            start_time,
            record_exception,
            set_status_on_exception,
        )
        with trace_api.use_span(
            span,
            end_on_exit=end_on_exit,
            record_exception=record_exception,
            set_status_on_exception=set_status_on_exception,
        ) as current:
            yield current
