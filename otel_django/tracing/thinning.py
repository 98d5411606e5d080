"""Fewer whole traces, while telemetry takes more than its share of the processor.

Of a trace that is thinned out only the first span of this process is made. It leaves if it has
failed or was slow; then it says ``ot=th:0``, kept with certainty. The traces that stay whole say in
``ot=th`` with which probability, so that counts can be made of them.
"""

from __future__ import annotations

import logging
from time import time_ns
from typing import TYPE_CHECKING

from otel_django.tracing.samplers import (
    EMPTY_STATE,
    MAX_THRESHOLD,
    Head,
    ot_members,
    randomness,
    threshold,
    with_threshold,
)
from otel_django.tracing.span import Span

if TYPE_CHECKING:
    from opentelemetry.trace.span import TraceState

_logger = logging.getLogger(__name__)
_DIGITS = 14


class Thinning:
    """Keeps the share ``ratio`` of traces whole; from ``slow_s`` on a trace counts as slow."""

    def __init__(self, ratio: float, slow_s: float) -> None:
        self.slow_ns = int(slow_s * 1e9)
        self._threshold = threshold(ratio)
        self._whole = Head(True, with_threshold(EMPTY_STATE, self._threshold))

    def head(self, sampled: bool, state: TraceState, trace_id: int) -> Head | None:
        """What becomes of the sampler's decision for a trace that stays whole; None: thin it out.

        A trace that the caller keeps with less probability stays at that.
        """
        if state is EMPTY_STATE:
            if trace_id & (MAX_THRESHOLD - 1) < self._threshold:
                return None
            return self._whole if sampled else Head(False, state)
        members = ot_members(state)
        if randomness(trace_id, members) < self._threshold:
            return None
        if not sampled or _threshold_of(members) >= self._threshold:
            return Head(sampled, state)
        return Head(True, with_threshold(state, self._threshold))


def _threshold_of(members: dict[str, str]) -> int:
    digits = members.get("th", "0")
    try:
        return int(digits[:_DIGITS].ljust(_DIGITS, "0"), 16)
    except ValueError:
        return 0


class SoleSpan(Span):
    """The first span of a trace that is thinned out: nothing below it is recorded.

    By its type it is none to begin children below; the head's decision that it carries is "no".
    """

    __slots__ = ()

    def end(self, end_time: int | None = None) -> None:
        """End the span, and hand it on if it has failed or was slow."""
        if self._end_time is not None:
            _logger.warning("Calling end() on an ended span.")
            return
        now = max(time_ns() if end_time is None else end_time, self._start_time)
        tracer, local = self._tracer, self._local
        if local.finish is not None:
            local.finish(self)
        if local.generation != tracer.generation:
            self._end_time = now  # began before a fork: the parent process ends it
        else:
            leaves = local.errors or now - self._start_time >= tracer.provider.slow_ns
            if leaves:
                self._export_state = with_threshold(self._context[4] or EMPTY_STATE, 0)
            if tracer.processors:
                self._own = self._attributes  # put together before others may see the span
                tracer.provider.ending(self, now)
            else:
                self._end_time = now
            if leaves:
                tracer.sink(self)
        local.root = None
