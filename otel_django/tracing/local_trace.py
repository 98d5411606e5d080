"""The part of a trace that runs in this process: one object shared by its spans."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from otel_django.tracing.samplers import EMPTY_STATE, ot_members, with_threshold

if TYPE_CHECKING:
    from opentelemetry.trace.span import TraceState

    from otel_django.tracing.span import Span

MAX_HELD_SPANS = 5000
"""Of one trace, while it waits for its root's end; a few MiB."""


class LocalTrace:
    """Shared by all spans below one local root.

    ``root``        the local root span until it has ended, then None
    ``statements``  repeated statements, filled by the database instrumentation
    ``finish``      called with the root just before it ends
    ``errors``      whether any span failed
    ``held``        ended spans that wait for the root's end (``OTEL_DJANGO_KEEP``), else None
    ``overflow``    how many ended spans found no room in ``held`` and are lost if it is kept
    ``raised``      the root ended and the trace is kept though the head might have dropped it
    ``discarded``   the root ended and the trace isn't kept
    ``generation``  the fork generation it began in
    ``ambient``     a block of a test, not a unit of work: requests inside it are roots themselves
    ``request_id``  the request's id, for log lines and tasks
    ``queries``     how many database queries have run, and ``query_ns`` how long they took
    """

    __slots__ = (
        "ambient",
        "discarded",
        "errors",
        "finish",
        "generation",
        "held",
        "overflow",
        "queries",
        "query_ns",
        "raised",
        "request_id",
        "root",
        "sampled",
        "statements",
    )

    root: Span | None

    def __init__(self, generation: int, sampled: bool) -> None:
        self.generation = generation
        self.sampled = sampled
        self.statements: Any = None
        self.finish: Callable[[Span], None] | None = None
        self.errors = False
        self.held: list[Span] | None = None
        self.overflow = 0
        self.raised = False
        self.discarded = False
        self.ambient = False
        self.request_id: str | None = None
        self.queries = self.query_ns = 0

    def stands_for_nothing(self, span: Span) -> bool:
        """Whether ``span`` is a test's block around units of work rather than one of them."""
        return self.ambient and self.root is span


class KeepPolicy:
    """``OTEL_DJANGO_KEEP``: errors and slow requests survive a low sampling ratio.

    The head's decision is what propagates; the spans that leave carry in ``ot=th`` the probability
    they were kept with: 1 (``th:0``) for errors and slow ones, the head's for the rest.
    """

    def __init__(self, *, errors: bool, slow: bool, slow_s: float) -> None:
        self._errors = errors
        self._slow_ns = int(slow_s * 1e9) if slow else None

    def holds(self, sampled: bool, state: TraceState) -> bool:
        """Whether spans must wait for the root's end: unless kept with certainty anyway."""
        return not sampled or ot_members(state).get("th", "0") != "0"

    def hold(self, local: LocalTrace, span: Span) -> Sequence[Span]:
        """``span`` has ended in a trace that waits for its root: what may be sent on by now."""
        held = local.held
        if local.raised:
            return _raised([span])
        if held is None:
            return () if local.discarded else (span,)
        if local.root is span:
            held.append(span)
            return self._decide(local, span, held)
        if len(held) < MAX_HELD_SPANS:
            held.append(span)
            return ()
        if local.sampled:  # it leaves anyway, with the probability of the head
            return (span,)
        local.overflow += 1
        return ()

    def relinquish(self, local: LocalTrace, root: Span) -> Sequence[Span]:
        """Another process tells of the root, which failed: the spans to send on without it."""
        held = local.held
        return () if held is None else self._decide(local, root, held)

    def _decide(self, local: LocalTrace, root: Span, held: list[Span]) -> Sequence[Span]:
        """The root has ended: the spans to send on, their tracestate set."""
        remarkable = (self._errors and local.errors) or (
            self._slow_ns is not None and root._end_time - root._start_time >= self._slow_ns
        )
        local.held = [] if remarkable else None  # an empty list: what ends later is raised too
        if remarkable:
            local.raised = True
            return _raised(held)
        if local.sampled:
            return held
        local.discarded = True
        return ()


def _raised(spans: Sequence[Span]) -> Sequence[Span]:
    """Mark as kept with certainty."""
    states: dict[int, TraceState] = {}
    for span in spans:
        state = span._context[4] or EMPTY_STATE
        key = id(state)
        if key not in states:
            states[key] = with_threshold(state, 0)
        span._export_state = states[key]
    return spans
