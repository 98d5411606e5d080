"""A report as plain text and as JSON: for a terminal, the text part of a mail, a program."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from otel_django.cli.inert_text import cells, fit, inert, pad
from otel_django.reporting import times

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otel_django.reporting.document import Column, Report, Section

WIDTH: Final = 100
NARROWEST: Final = 16
LONGEST: Final = 2000


def text(report: Report, width: int = WIDTH) -> str:
    """Lines of at most ``width`` columns, but for addresses and sentences."""
    return "\n".join(_lines(report, width))


def _lines(report: Report, width: int) -> Iterator[str]:
    title = _inert(report.title)
    yield title
    yield "=" * cells(title)
    yield range_words(report)
    yield from (_inert(note) for note in report.notes)
    if report.page:
        yield _inert(report.page)
    for section in report.sections:
        yield ""
        yield from _section(section, width)


def range_words(report: Report) -> str:
    """From when to when."""
    length = times.length(report.until_ns - report.since_ns)
    return f"{times.moment(report.since_ns)} to {times.moment(report.until_ns)}, {length}"


def _section(section: Section, width: int) -> Iterator[str]:
    yield section.title
    yield "-" * len(section.title)
    yield f"{'! ' if section.is_bad else ''}{_inert(section.answer)}"
    if section.rows:
        yield from _table(section, width)
    yield from (_inert(note) for note in section.notes)
    if section.page:
        yield _inert(section.page)


def _table(section: Section, width: int) -> Iterator[str]:
    columns = section.columns
    rows = [[each.title for each in columns]]
    rows += [[_inert(each.told(row)) for each in columns] for row in section.rows]
    widths = _widths(columns, rows, width)
    for row in rows:
        pairs = zip(columns, row, widths, strict=True)
        yield "  ".join(_cell(column, told, size) for column, told, size in pairs).rstrip()


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """As wide as what stands there; what is too much is taken from the widest texts."""
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    over = sum(widths) + 2 * (len(widths) - 1) - width
    texts = [number for number, column in enumerate(columns) if column.text]
    while over > 0 and texts:
        widest = max(texts, key=lambda number: widths[number])
        if widths[widest] <= NARROWEST:
            break
        widths[widest] -= 1
        over -= 1
    return widths


def _cell(column: Column, told: str, width: int) -> str:
    if column.text:
        return pad(told, width)
    return " " * (width - cells(told)) + fit(told, width)


def _inert(words: str) -> str:
    return inert(words[:LONGEST])


# --- JSON


def document(report: Report) -> dict[str, Any]:
    """Plain values with units in their keys; times are RFC 3339 in UTC."""
    return {
        "site": report.site,
        "service": report.service or None,
        "since": _time(report.since_ns),
        "until": _time(report.until_ns),
        "notes": list(report.notes),
        "sections": {
            section.key: {
                "title": section.title,
                "answer": section.answer,
                "needs_attention": section.is_bad,
                "rows": [dict(row) for row in section.rows],
                "notes": list(section.notes),
            }
            for section in report.sections
        },
    }


def as_json(report: Report) -> str:
    """``document`` in ASCII."""
    return json.dumps(document(report), indent=2)


def _time(time_ns: int) -> str:
    return f"{datetime.fromtimestamp(time_ns // 10**9, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
