"""Rows of a waterfall as a template draws the first of them, and as a script has all of them."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.utils.safestring import mark_safe

from otel_django.store.json_text import dumps

if TYPE_CHECKING:
    from django.utils.safestring import SafeString

    from otel_django.viewer.waterfall import Row, Waterfall

THINNEST: Final = 0.15
"""Per cent of the width that a bar has at least, so that it can be seen."""
DEEPEST: Final = 20
"""Rows deeper than that aren't indented any further."""
FAILED: Final = 1
CRITICAL: Final = 2


class Bar(NamedTuple):
    """A part of a drawing, in per cent of its width."""

    x: str
    width: str


class Window(NamedTuple):
    """The time that the drawing is wide."""

    start_ns: int
    length_ns: int

    def bar(self, start_ns: int, duration_ns: int) -> Bar | None:
        """The part of it that is inside, None where none is."""
        left = max(100 * (start_ns - self.start_ns) / self.length_ns, 0)
        right = min(100 * (start_ns + duration_ns - self.start_ns) / self.length_ns, 100)
        if right < 0 or left > 100:
            return None
        return Bar(f"{min(left, 100 - THINNEST):.3f}", f"{max(right - left, THINNEST):.3f}")


class Line(NamedTuple):
    """A row for the template; ``open`` says whether what is below it is shown."""

    row: Row
    bars: list[Bar]
    indent: int
    open: bool


def window_of(fall: Waterfall, span_id: str = "") -> Window:
    """That of a span, or of the whole trace."""
    span = fall.known.get(span_id)
    if span is None:
        return Window(fall.start_ns, fall.length_ns)
    return Window(span.start_ns, max(span.duration_ns, 1))


def lines(fall: Waterfall, window: Window, opened: Container[str]) -> Iterator[Line]:
    """Rows that are shown: those of folded spans only where ``opened`` has the first one's id."""
    index, rows = 0, fall.rows
    while index < len(rows):
        row = rows[index]
        shown = row.kind != "repeats" or row.span.span_id in opened
        times = row.parts or ((row.start_ns, row.duration_ns),)
        if row.kind == "wait" and not row.duration_ns:
            times = ()  # it was over before the trace began
        bars = [bar for bar in (window.bar(*each) for each in times) if bar]
        yield Line(row, bars, min(row.depth, DEEPEST), shown)
        index += 1 if shown else 1 + row.below


def script_data(fall: Waterfall, window: Window, opened: Container[str]) -> dict[str, Any]:
    """All rows, small: texts that recur once, times in ns since the window's start.

    A row is ``[kind, depth, below, label, hue, start, duration, own, flags, mark, tone, count,
    id, parts]``; ``kind``, ``label``, ``hue``, ``mark`` and ``tone`` are places in ``texts``,
    ``parts`` starts and lengths in turn.
    """
    texts: dict[str, int] = {}
    places: dict[tuple[str, ...], list[int]] = {}

    def placed(*told: str) -> list[int]:
        """Rows have few different texts together."""
        found = places.get(told)
        if found is None:
            found = places[told] = [texts.setdefault(text, len(texts)) for text in told]
        return found

    rows = []
    for row in fall.rows:
        kind, label, hue, mark, tone = placed(row.kind, row.label, row.hue, row.mark, row.tone)
        rows.append(
            [
                kind,
                row.depth,
                row.below,
                label,
                hue,
                row.start_ns - window.start_ns,
                row.duration_ns,
                row.own_ns,
                FAILED * row.failed + CRITICAL * row.critical,
                mark,
                tone,
                row.count,
                row.span.span_id,
                [each for start, length in row.parts for each in (start - window.start_ns, length)],
            ]
        )
    open_rows = [
        index
        for index, row in enumerate(fall.rows)
        if row.kind == "repeats" and row.span.span_id in opened
    ]
    return {"length": window.length_ns, "texts": list(texts), "rows": rows, "open": open_rows}


def for_script(data: Any) -> SafeString:
    """As JSON that can stand in a ``script`` element; Django's ``json_script`` takes long."""
    text = dumps(data)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return mark_safe(text)  # noqa: S308 - nothing in it ends the element
