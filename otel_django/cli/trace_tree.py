"""A trace as lines for a terminal: spans in, text out, nothing else.

::

    12:01:03  GET /checkout/  500  1.24 s   51 queries (612 ms)          4bf92f3577b34da6
    ├─ SELECT cart           3.1 ms  ▏
    ├─ SELECT product ×48    590 ms  ████████▌            N+1 catalogue/views.py:42
    └─ ✗ ValueError: no address

Bars stand where in the trace's time the span ran. Leaves alike are folded into one line. Before a
task stands what it waited in the queue. Any span is shown wherever it says it belongs; those whose
parent is missing, or that are their own ancestors, stand at the top level.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from otel_django import names
from otel_django.cli import log_words, task_words
from otel_django.cli.inert_text import cells, fit, inert, pad
from otel_django.cli.look import AMBER, BLUE, CYAN, DIM, GREEN, MAGENTA, RED
from otel_django.cli.span_words import (
    code_line,
    exception_text,
    milliseconds,
    repeated_statements,
    span_label,
)
from otel_django.cli.trace_header import header, origin, root_of

if TYPE_CHECKING:
    from otel_django.cli.look import Look
    from otel_django.contracts import LogRow, SpanRow

MAX_LINES: Final = 60
MAX_DEPTH: Final = 12
BAR_CELLS: Final = 20
MIN_BAR_CELLS: Final = 8
DURATION_CELLS: Final = 9
MAX_NAME_CELLS: Final = 56
NARROW: Final = 70
EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
WAITED: Final = "░"


@dataclass
class _Line:
    """One line of the tree, before it is laid out."""

    label: str
    color: tuple[str, ...] = ()
    duration_ns: int | None = None
    bar: tuple[int, int] | None = None
    bar_color: str = ""
    mark: str = ""
    mark_color: str = AMBER
    stem: str = ""
    times: str = ""
    waits: bool = False

    @property
    def name_cells(self) -> int:
        """Columns from the tree's stem to the name's end."""
        return cells(self.stem) + cells(self.label) + cells(self.times)


@dataclass
class _Group:
    """Leaves alike, or one span."""

    spans: list[SpanRow]

    @property
    def first(self) -> SpanRow:
        return self.spans[0]

    @property
    def duration_ns(self) -> int:
        return sum(span.duration_ns for span in self.spans)


def trace_lines(
    spans: Sequence[SpanRow], look: Look, begun_by: str = "", logs: Sequence[LogRow] = ()
) -> list[str]:
    """The trace's lines, header first; empty without spans.

    ``begun_by`` names the root of the trace that a task, as ``spans``' root, comes from. ``logs``
    stand below their spans.
    """
    if not spans:
        return []
    root = root_of(spans)
    lines = [header(root, spans, look), *_Tree(root, spans, look, logs).lines()]
    comes = origin(root, begun_by)
    if comes:
        lines.insert(1, look.paint(fit(f"… {comes}", look.width), DIM))
    return lines


class _Tree:
    def __init__(
        self, root: SpanRow, spans: Sequence[SpanRow], look: Look, logs: Sequence[LogRow]
    ) -> None:
        self._look = look
        self._root = root
        known = self._known = {span.span_id: span for span in spans}
        self._workers = {root.span_id: task_words.worker(root)}
        self._spans = sorted(known.values(), key=lambda each: each.start_ns)
        self._children: dict[str | None, list[SpanRow]] = {}
        for span in self._spans:
            if span.span_id != root.span_id:
                parent = span.parent_id if span.parent_id in known else None
                self._children.setdefault(parent, []).append(span)
        self._start = min(span.start_ns for span in spans)
        end = max(span.start_ns + span.duration_ns for span in spans)
        self._length = max(end - self._start, 1)
        self._repeats = list(repeated_statements(spans))
        self._repeated = {repeat[0] for repeat in self._repeats}
        self._seen = {root.span_id}
        self._told: set[str] = set()
        self._logs: dict[str, list[LogRow]] = {}
        for row in sorted(logs, key=lambda each: each.time_ns):
            owner = row.span_id if row.span_id in known else root.span_id
            self._logs.setdefault(owner, []).append(row)
        self._exceptions = {exception_text(event) for span in spans for event in span.events}

    def lines(self) -> list[str]:
        drawn = self._below(self._root, 0)
        left_out = len(drawn) - MAX_LINES
        if left_out > 1:
            drawn = [*drawn[:MAX_LINES], _Line(f"… {left_out:,} more lines", (DIM,), stem="   ")]
        return self._lay_out(drawn)

    def _below(self, span: SpanRow, depth: int) -> list[_Line]:
        """What hangs below a span: its children and log records, then its exceptions."""
        children = self._children_of(span, depth)
        if depth >= MAX_DEPTH and children:
            count = sum(map(self._hide, children))
            return _joined([[_Line(f"… {count:,} more spans below", (DIM,))]])
        blocks = self._in_order(span, list(self._fold(children)), depth)
        retry = task_words.retry_reason(span)
        errors = [
            text
            for text in map(exception_text, () if retry else span.events)
            if text and text not in self._told
        ]
        self._told.update(errors)
        if depth == 0:
            # Spans that are their own ancestors hang below nobody.
            for other in self._spans:
                if other.span_id not in self._seen:
                    self._seen.add(other.span_id)
                    blocks += self._blocks(_Group([other]), depth)
        if retry:
            blocks.append([_Line(f"↻ {retry}", (AMBER,))])
        blocks += [[_Line(f"✗ {text}", (RED,))] for text in errors]
        if depth == 0:
            blocks += [
                [_Line(f"N+1: {label} ×{count:,}  {where}".rstrip(), (AMBER,))]
                for label, count, where in self._repeats
            ]
        return _joined(blocks)

    def _in_order(self, span: SpanRow, groups: list[_Group], depth: int) -> list[list[_Line]]:
        """The blocks of children and of log records, as they began."""
        blocks: list[list[_Line]] = []
        logged = self._log_lines(span)
        for group in groups:
            while logged and logged[0][0] < group.first.start_ns:
                blocks.append([logged.pop(0)[1]])
            blocks += self._blocks(group, depth)
        return blocks + [[line] for _, line in logged]

    def _log_lines(self, span: SpanRow) -> list[tuple[int, _Line]]:
        """A line a record with its time, those in a row that are alike in one."""
        runs = groupby(self._logs.get(span.span_id, []), lambda row: (row.event, row.level))
        lines = []
        for _, rows in runs:
            first, *more = rows
            text = log_words.label(first, 1 + len(more), self._exceptions)
            lines.append((first.time_ns, _Line(text, log_words.color(first))))
        return lines

    def _children_of(self, span: SpanRow, depth: int) -> list[SpanRow]:
        below = self._children.get(span.span_id, [])
        if depth == 0:  # with those whose parent is missing
            below = [*below, *self._children.get(None, [])]
            below.sort(key=lambda child: child.start_ns)
        below = [child for child in below if child.span_id not in self._seen]
        self._seen.update(child.span_id for child in below)
        return below

    def _hide(self, span: SpanRow) -> int:
        """Leave out a span with all that is below it; how many they are."""
        count, stack = 0, [span]
        while stack:
            count += 1
            for child in self._children.get(stack.pop().span_id, []):
                if child.span_id not in self._seen:
                    self._seen.add(child.span_id)
                    stack.append(child)
        return count

    def _fold(self, spans: Iterable[SpanRow]) -> Iterator[_Group]:
        groups: dict[Any, _Group] = {}
        for span in spans:
            leaf = not (span.span_id in self._children or span.span_id in self._logs or span.events)
            statement = span.attributes.get(names.DB_QUERY_TEXT)
            alike = leaf and span.status != "error"
            key = (span_label(span), str(statement), span.kind) if alike else span.span_id
            groups.setdefault(key, _Group([])).spans.append(span)
        return iter(groups.values())

    def _blocks(self, group: _Group, depth: int) -> Iterator[list[_Line]]:
        """A group's line and what hangs below it; before a task, its wait in the queue."""
        span = group.first
        wait_ns = sum(map(task_words.queue_wait_ns, group.spans))
        if wait_ns:
            begin = max(span.start_ns - wait_ns, self._start)
            bar = (begin, max(span.start_ns, begin))
            yield [_Line("(waited)", (DIM,), wait_ns, bar, DIM, waits=True)]
        yield self._block(group, depth)

    def _block(self, group: _Group, depth: int) -> list[_Line]:
        span = group.first
        failed = span.status == "error"
        label = f"✗ {span_label(span)}" if failed else span_label(span)
        line = _Line(
            label,
            (RED,) if failed else (),
            group.duration_ns,
            (span.start_ns, max(each.start_ns + each.duration_ns for each in group.spans)),
            _hue(span),
            self._mark(group),
            RED if failed else AMBER,
            times=f" ×{len(group.spans):,}" if len(group.spans) > 1 else "",
        )
        return [line, *self._below(span, depth + 1)]

    def _mark(self, group: _Group) -> str:
        span = group.first
        words = [task_words.state(span), task_words.attempt(span), self._place(span)]
        if span.status == "error" and not any(map(exception_text, span.events)):
            words.insert(0, inert(str(span.attributes.get(names.ERROR_TYPE, ""))))
        mark = ", ".join(filter(None, words))
        if mark:
            return mark
        summary = span_label(span)
        for repeat in self._repeats:
            if repeat[0] == summary and len(group.spans) > 1 and repeat[1] >= len(group.spans):
                self._repeats.remove(repeat)
                return f"N+1 {repeat[2]}".rstrip()
        # A statement has its line where it was slow or repeated; repeated ones are told above.
        place = code_line(span.attributes) if len(group.spans) == 1 else ""
        return f"slow {place}" if place else ""

    def _place(self, span: SpanRow) -> str:
        """Where it ran: service and worker, as far as they are others than its parent's."""
        parent = self._known.get(span.parent_id or "", self._root)
        before = self._workers.get(parent.span_id, "")
        own = self._workers[span.span_id] = task_words.worker(span) or before
        service = inert(span.service[:80]) if span.service != parent.service else ""
        return ", ".join(filter(None, (service, own if own != before else "")))

    # --- layout

    def _lay_out(self, lines: list[_Line]) -> list[str]:
        """In columns; a mark, which names a line of code, takes room from the bars first."""
        timed = [line for line in lines if line.duration_ns is not None]
        marks = max((cells(line.mark) for line in timed), default=0)
        room = self._look.width - DURATION_CELLS - 6
        most = max(MAX_NAME_CELLS, room - BAR_CELLS - marks)
        widest = min(max((line.name_cells for line in timed), default=0), most)
        bars = 0 if self._look.width < NARROW else BAR_CELLS
        if bars and marks:
            bars = min(max(room - widest - marks, MIN_BAR_CELLS), BAR_CELLS)
        room = max(room - bars, 20)
        name_width = max(min(widest, room - min(marks, room // 2)), 20)
        return [self._line(line, name_width, bars) for line in lines]

    def _line(self, line: _Line, name_width: int, bars: int) -> str:
        look = self._look
        stem = look.paint(line.stem, DIM)
        if line.duration_ns is None:
            text = f"{line.label}  {line.mark}".rstrip()
            return stem + look.paint(fit(text, look.width - cells(line.stem)), *line.color)
        label_width = max(name_width - cells(line.stem), 8)
        label = pad(fit(line.label, label_width - cells(line.times)) + line.times, label_width)
        took = milliseconds(line.duration_ns).rjust(DURATION_CELLS)
        bar = self._bar(line.bar, bars) if bars and line.bar else ""
        if line.waits:
            bar = re.sub(r"\S", WAITED, bar)
        left = f"{stem}{look.paint(label, *line.color)}  {took}"
        if not line.mark:
            shown = bar.rstrip()
            return f"{left}  {look.paint(shown, line.bar_color)}" if shown else left
        used = max(cells(line.stem) + cells(label), name_width) + DURATION_CELLS + bars + 6
        mark = _fit_mark(line.mark, max(look.width - used, 12))
        bar = look.paint(bar, line.bar_color) + "  " if bars else ""
        return f"{left}  {bar}{look.paint(mark, line.mark_color)}"

    def _bar(self, times: tuple[int, int], width: int) -> str:
        """Blocks from start to end, exact to an eighth of a column at the end."""
        length = self._length
        begin = min((times[0] - self._start) * width // length, width - 1)
        eighths = (times[1] - self._start) * width * 8 // length - begin * 8
        short = (times[1] - times[0]) * width * 8 // length
        eighths = max(short if short < 8 else eighths, 1)
        full, rest = divmod(eighths, 8)
        full = min(full, width - begin)
        return (" " * begin + EIGHTHS[8] * full + EIGHTHS[rest].strip())[:width].ljust(width)


def _fit_mark(mark: str, width: int) -> str:
    """``mark``, of whose place the end is kept: there stand the file's name and the line."""
    word, _, place = mark.partition(" ")
    room = width - cells(word) - 2
    if cells(mark) <= width or not place or room < 1:
        return fit(mark, width)
    end = place[-room:]
    while cells(end) > room:
        end = end[1:]
    return f"{word} …{end}"


def _joined(blocks: list[list[_Line]]) -> list[_Line]:
    """Blocks below one another, with the lines that connect them."""
    for block in blocks:
        last = block is blocks[-1]
        for line in block:
            if line is block[0]:
                line.stem = ("└─ " if last else "├─ ") + line.stem
            else:
                line.stem = ("   " if last else "│  ") + line.stem
    return [line for block in blocks for line in block]


def _hue(span: SpanRow) -> str:
    attributes = span.attributes
    if names.DB_SYSTEM_NAME in attributes:
        return BLUE
    if names.DJANGO_CACHE_ALIAS in attributes:
        return MAGENTA
    return {"client": CYAN, "producer": GREEN, "consumer": GREEN}.get(span.kind, "")
