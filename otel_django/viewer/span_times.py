"""Where a trace's time went: each span's own time, and the path that decided how long it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_django.contracts import SpanRow

    Children = Mapping[str, Sequence[SpanRow]]


def end_ns(span: SpanRow) -> int:
    """When it ended."""
    return span.start_ns + span.duration_ns


def own_ns(span: SpanRow, children: Sequence[SpanRow]) -> int:
    """The part of a span's time in which none of its children, which are by start, ran."""
    if not children:
        return span.duration_ns
    covered = 0
    until = span.start_ns
    for child in children:
        begin, end = max(child.start_ns, until), min(end_ns(child), end_ns(span))
        if end > begin:
            covered += end - begin
            until = end
    return span.duration_ns - covered


def critical_path(root: SpanRow, children: Children) -> dict[str, int]:
    """Span id → its own part of the path, in ns: all parts together are the root's duration.

    From the root's end backwards: before it ended it waited for the child that ended last, and so
    on. A child that ran on after its parent (a task, work in the background) wasn't waited for.
    """
    path: dict[str, int] = {}
    waiting = [(root, end_ns(root))]
    while waiting:
        span, until = waiting.pop()
        if span.span_id in path:  # spans that are their own ancestors
            continue
        own = 0
        for child in sorted(children.get(span.span_id, ()), key=end_ns, reverse=True):
            if end_ns(child) <= until and child.start_ns >= span.start_ns:
                own += until - end_ns(child)
                until = child.start_ns
                waiting.append((child, end_ns(child)))
        path[span.span_id] = own + max(0, until - span.start_ns)
    return path


def merged(spans: Sequence[SpanRow], gap_ns: int) -> tuple[tuple[int, int], ...]:
    """The times (start, duration) in which any of them, which are by start, ran.

    Those less than ``gap_ns`` apart are one.
    """
    found: list[tuple[int, int]] = []
    for span in spans:
        if found and span.start_ns - sum(found[-1]) <= gap_ns:
            begin, length = found[-1]
            found[-1] = (begin, max(length, end_ns(span) - begin))
        else:
            found.append((span.start_ns, span.duration_ns))
    return tuple(found)
