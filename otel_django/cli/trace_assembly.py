"""Spans as they arrive become whole traces; time is an argument."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from otel_django.cli.task_words import delay_s, runs_task

if TYPE_CHECKING:
    from otel_django.contracts import SpanRow

QUIET_S: Final = 0.3
TASK_S: Final = 2.0
HOLD_S: Final = 6.0
ROOTLESS_S: Final = 10.0
MAX_TRACES: Final = 1_000
MAX_SPANS: Final = 5_000


class _Waiting:
    """The spans of one trace.

    ``sent`` are the spans that sent a task, with how long it is to wait; ``taken`` those whose
    task has run. One that is in only one of them has its other half still to come.
    """

    __slots__ = ("last_s", "rooted_s", "sent", "spans", "taken")

    def __init__(self) -> None:
        self.spans: dict[str, SpanRow] = {}
        self.sent: dict[str, float] = {}
        self.taken: set[str] = set()
        self.rooted_s: float | None = None
        self.last_s = 0.0

    def add(self, span: SpanRow, now_s: float) -> None:
        if span.span_id in self.spans:
            return
        self.last_s = now_s
        if span.local_root and self.rooted_s is None:
            self.rooted_s = now_s
        if len(self.spans) >= MAX_SPANS and not span.local_root:
            return
        self.spans[span.span_id] = span
        wait_s = delay_s(span)
        if wait_s is not None:
            self.sent[span.span_id] = wait_s
        if runs_task(span) and span.local_root and span.parent_id is not None:
            self.taken.add(span.parent_id)

    def due_s(self, halves: set[str]) -> float:
        """When it is given out if nothing more comes; ``halves`` were given out before."""
        if self.rooted_s is None:
            return self.last_s + ROOTLESS_S
        quiet_s = self.last_s + QUIET_S
        missing = (self.sent.keys() ^ self.taken) - halves
        delays = [each for each in (self.sent.get(half, 0.0) for half in missing) if each <= HOLD_S]
        if not delays:
            return quiet_s
        patience_s = TASK_S + max(delays)
        return max(quiet_s, min(self.last_s + patience_s, self.rooted_s + HOLD_S))


class TraceAssembly:
    """A trace is whole when a local root has arrived and then nothing more for 0.3 s.

    While a task it has sent is still to come, 2 s without anything new are waited for it, beyond
    the delay it was sent with, up to 6 s from the first local root on. What comes later is a part
    of its own. Spans without a local root are given out after 10 s.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, _Waiting] = {}
        self._halves: dict[str, set[str]] = {}

    def add(self, spans: Iterable[SpanRow], now_s: float) -> None:
        """Take spans; one that is repeated counts once."""
        for span in spans:
            self._waiting.setdefault(span.trace_id, _Waiting()).add(span, now_s)

    def whole(self, now_s: float) -> Iterator[list[SpanRow]]:
        """The traces that are whole, in the order their first span came; each is given once."""
        excess = len(self._waiting) - MAX_TRACES
        for trace_id, waiting in list(self._waiting.items()):
            if excess > 0 or now_s >= waiting.due_s(self._halves.get(trace_id, set())):
                excess -= 1
                del self._waiting[trace_id]
                self._remember(trace_id, waiting)
                yield from _parts(list(waiting.spans.values()))

    def _remember(self, trace_id: str, waiting: _Waiting) -> None:
        """Which tasks' other halves may come later, and needn't be waited for then."""
        halves = self._halves.pop(trace_id, set()) ^ waiting.sent.keys() ^ waiting.taken
        if halves:
            self._halves[trace_id] = halves
        if len(self._halves) > MAX_TRACES:
            del self._halves[next(iter(self._halves))]


def _parts(spans: list[SpanRow]) -> Iterator[list[SpanRow]]:
    """One list, or several where only tasks have come and not what sent them."""
    known = {span.span_id for span in spans}
    tops = [span for span in spans if span.parent_id not in known]
    if len(tops) < 2 or not all(map(runs_task, tops)):
        yield spans
        return
    below: dict[str | None, list[SpanRow]] = {}
    for span in spans:
        below.setdefault(span.parent_id, []).append(span)
    for top in tops:
        part = [top]
        for span in part:
            part += below.get(span.span_id, [])
        yield part
