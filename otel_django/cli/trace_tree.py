"""A trace as lines for a terminal: spans in, text out, nothing else.

::

    12:01:03  GET /checkout/  500  1.24 s   51 queries (612 ms)          4bf92f3577b34da6
    ├─ SELECT cart           3.1 ms  ▏
    ├─ SELECT product ×48    590 ms  ████████▌            N+1 catalogue/views.py:42
    └─ ✗ ValueError: no address

Bars stand where in the trace's time the span ran. Leaves alike are folded into one line. Any span
is shown wherever it says it belongs; those whose parent is missing, or that are their own
ancestors, stand at the top level.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any, Final

from otel_django import names
from otel_django.cli.inert_text import cells, fit, inert, pad
from otel_django.cli.span_words import (
    code_line,
    duration,
    exception_text,
    milliseconds,
    repeated_statements,
    span_label,
)

if TYPE_CHECKING:
    from otel_django.contracts import SpanRow

MAX_LINES: Final = 60
MAX_DEPTH: Final = 12
BAR_CELLS: Final = 20
MIN_BAR_CELLS: Final = 8
DURATION_CELLS: Final = 9
MAX_NAME_CELLS: Final = 56
MIN_TITLE_CELLS: Final = 16
TRACE_ID_DIGITS: Final = 16
NARROW: Final = 70
EIGHTHS: Final = " ▏▎▍▌▋▊▉█"

RESET, BOLD, DIM, RED, GREEN, AMBER, BLUE, MAGENTA, CYAN = (
    f"\x1b[{code}m" for code in (0, 1, 2, 31, 32, 33, 34, 35, 36)
)


@dataclass(frozen=True)
class Look:
    """How to draw: columns, whether in colour, the zone of times (None: local)."""

    width: int = 100
    color: bool = False
    zone: tzinfo | None = None

    def paint(self, text: str, *codes: str) -> str:
        """``text`` in a colour."""
        return f"{''.join(codes)}{text}{RESET}" if self.color and text and codes else text


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


def root_of(spans: Sequence[SpanRow]) -> SpanRow:
    """The span a trace is named after: without a parent, else a local root, else the first."""
    return min(
        spans, key=lambda span: (span.parent_id is not None, not span.local_root, span.start_ns)
    )


def trace_lines(spans: Sequence[SpanRow], look: Look) -> list[str]:
    """The trace's lines, header first; empty without spans."""
    if not spans:
        return []
    root = root_of(spans)
    return [_header(root, spans, look), *_Tree(root, spans, look).lines()]


# --- header


def _header(root: SpanRow, spans: Sequence[SpanRow], look: Look) -> str:
    when = datetime.fromtimestamp(_seconds(root.start_ns), look.zone)
    status, color = _status(root)
    title = _title(root)
    queries = [span for span in spans if names.DB_QUERY_TEXT in span.attributes]
    told = ""
    if queries:
        spent = duration(sum(span.duration_ns for span in queries))
        told = f"{len(queries)} {'query' if len(queries) == 1 else 'queries'} ({spent})"
    taken = duration(root.duration_ns)
    fixed = [when.strftime("%H:%M:%S"), status, taken, told]
    room = look.width - sum(len(part) + 2 for part in fixed if part)
    if room < MIN_TITLE_CELLS:
        room += len(told) + 2
        told = ""
    title = fit(title, max(room, MIN_TITLE_CELLS))
    parts = [
        look.paint(fixed[0], DIM),
        look.paint(title, BOLD),
        look.paint(status, color, BOLD),
        taken,
        look.paint(told, DIM),
    ]
    line = "  ".join(part for part in parts if part)
    trace_id = root.trace_id[:TRACE_ID_DIGITS]
    gap = room - cells(title) - len(trace_id)
    return f"{line}{' ' * gap}{look.paint(trace_id, DIM)}" if gap >= 2 else line


def _title(root: SpanRow) -> str:
    """The root's name; with the path where no route was found."""
    method = root.attributes.get(names.HTTP_REQUEST_METHOD)
    path = root.attributes.get(names.URL_PATH)
    if isinstance(path, str) and names.HTTP_ROUTE not in root.attributes and root.name == method:
        return inert(f"{root.name} {path}")
    return inert(root.name) or "(no name)"


def _status(root: SpanRow) -> tuple[str, str]:
    code = root.attributes.get(names.HTTP_RESPONSE_STATUS_CODE)
    if isinstance(code, int) and 0 < code < 1000:
        return str(code), {2: GREEN, 3: CYAN, 4: AMBER}.get(code // 100, RED)
    if root.status == "error":
        return "failed", RED
    return ("", "") if root.local_root else ("(no root yet)", AMBER)


# --- tree


class _Tree:
    def __init__(self, root: SpanRow, spans: Sequence[SpanRow], look: Look) -> None:
        self._look = look
        self._root = root
        known = {span.span_id: span for span in spans}
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

    def lines(self) -> list[str]:
        drawn = self._below(self._root, 0)
        left_out = len(drawn) - MAX_LINES
        if left_out > 1:
            drawn = [*drawn[:MAX_LINES], _Line(f"… {left_out:,} more lines", (DIM,), stem="   ")]
        return self._lay_out(drawn)

    def _below(self, span: SpanRow, depth: int) -> list[_Line]:
        """What hangs below a span: its children, then its exceptions."""
        children = self._children_of(span, depth)
        if depth >= MAX_DEPTH and children:
            count = sum(map(self._hide, children))
            return _joined([[_Line(f"… {count:,} more spans below", (DIM,))]])
        blocks = [self._block(group, depth) for group in self._fold(children)]
        errors = [
            text for text in map(exception_text, span.events) if text and text not in self._told
        ]
        self._told.update(errors)
        if depth == 0:
            # Spans that are their own ancestors hang below nobody.
            for other in self._spans:
                if other.span_id not in self._seen:
                    self._seen.add(other.span_id)
                    blocks.append(self._block(_Group([other]), depth))
        blocks += [[_Line(f"✗ {text}", (RED,))] for text in errors]
        if depth == 0:
            blocks += [
                [_Line(f"N+1: {label} ×{count:,}  {where}".rstrip(), (AMBER,))]
                for label, count, where in self._repeats
            ]
        return _joined(blocks)

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
            leaf = span.span_id not in self._children and not span.events
            statement = span.attributes.get(names.DB_QUERY_TEXT)
            alike = leaf and span.status != "error"
            key = (span.name, str(statement), span.kind) if alike else span.span_id
            groups.setdefault(key, _Group([])).spans.append(span)
        return iter(groups.values())

    def _block(self, group: _Group, depth: int) -> list[_Line]:
        """A group's line and what hangs below it."""
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
        if span.status == "error" and not any(map(exception_text, span.events)):
            return inert(str(span.attributes.get(names.ERROR_TYPE, "")))
        summary = span_label(span)
        for repeat in self._repeats:
            if repeat[0] == summary and len(group.spans) > 1 and repeat[1] >= len(group.spans):
                self._repeats.remove(repeat)
                return f"N+1 {repeat[2]}".rstrip()
        # A statement has its line where it was slow or repeated; repeated ones are told above.
        place = code_line(span.attributes) if len(group.spans) == 1 else ""
        return f"slow {place}" if place else ""

    # --- layout

    def _lay_out(self, lines: list[_Line]) -> list[str]:
        """In columns; a mark, which names a line of code, takes room from the bars first."""
        timed = [line for line in lines if line.duration_ns is not None]
        widest = min(max((line.name_cells for line in timed), default=0), MAX_NAME_CELLS)
        marks = max((cells(line.mark) for line in timed), default=0)
        room = self._look.width - DURATION_CELLS - 6
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


def _seconds(time_ns: int) -> float:
    """Within what a date can show."""
    return min(max(time_ns, 0), 250_000_000_000 * 1_000_000_000) / 1e9
