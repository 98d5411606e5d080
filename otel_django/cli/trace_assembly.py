"""Spans as they arrive become whole traces; time is an argument."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from otel_django.contracts import SpanRow

QUIET_S: Final = 0.3
ROOTLESS_S: Final = 10.0
MAX_TRACES: Final = 1_000
MAX_SPANS: Final = 5_000


class _Waiting:
    __slots__ = ("last_s", "rooted", "spans")

    def __init__(self) -> None:
        self.spans: dict[str, SpanRow] = {}
        self.rooted = False
        self.last_s = 0.0


class TraceAssembly:
    """A trace is whole when a local root has arrived and then nothing more for 0.3 s.

    What comes later, such as a task the request has started, is a trace's part of its own. Spans
    without a local root are given out after 10 s.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, _Waiting] = {}

    def add(self, spans: Iterable[SpanRow], now_s: float) -> None:
        """Take spans; one that is repeated counts once."""
        for span in spans:
            waiting = self._waiting.setdefault(span.trace_id, _Waiting())
            if span.span_id not in waiting.spans:
                if len(waiting.spans) < MAX_SPANS or span.local_root:
                    waiting.spans[span.span_id] = span
                waiting.rooted = waiting.rooted or span.local_root
                waiting.last_s = now_s

    def whole(self, now_s: float) -> Iterator[list[SpanRow]]:
        """The traces that are whole, in the order their first span came; each is given once."""
        excess = len(self._waiting) - MAX_TRACES
        for trace_id, waiting in list(self._waiting.items()):
            quiet_s = QUIET_S if waiting.rooted else ROOTLESS_S
            if excess > 0 or now_s - waiting.last_s >= quiet_s:
                excess -= 1
                del self._waiting[trace_id]
                yield list(waiting.spans.values())
