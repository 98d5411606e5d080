"""The log page while it is live: what came since it was asked last."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from otel_django.contracts import LogQuery

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_django.contracts import LogReader, LogRow

FIRST: Final = 100
MOST: Final = 200
MOST_COMPARED: Final = 1_000


@dataclass(frozen=True, slots=True)
class Tail:
    """Records, oldest first; ``cursor`` asks for those after them, ``left_out`` is how many more
    came than can be shown at once.
    """

    rows: tuple[LogRow, ...]
    cursor: str
    left_out: int = 0


def begin(reader: LogReader, query: LogQuery) -> Tail:
    """The last ones there are. None is missing between them and those that come later."""
    place = reader.logs_since(None).cursor
    before = reader.list_logs(replace(query, limit=FIRST)).rows
    later = go_on(reader, query, place or "")
    rows = {row.key: row for row in (*before, *later.rows)}
    return replace(later, rows=_by_time(rows.values()))


def go_on(reader: LogReader, query: LogQuery, cursor: str) -> Tail:
    """Those that came after ``cursor`` and match."""
    page = reader.logs_since(cursor or None)
    rows = _matching(reader, query, page.rows)
    return Tail(_by_time(rows)[-MOST:], page.cursor or cursor, max(0, len(rows) - MOST))


def _matching(
    reader: LogReader, query: LogQuery, arrived: tuple[LogRow, ...]
) -> tuple[LogRow, ...]:
    """The list itself says what matches, so that both always show the same."""
    if not arrived or query == LogQuery(limit=query.limit):
        return arrived
    times = [row.time_ns for row in arrived]
    among = replace(query, since_ns=min(times), until_ns=max(times), limit=MOST_COMPARED)
    matching = {row.key for row in reader.list_logs(among).rows}
    return tuple(row for row in arrived if row.key in matching)


def _by_time(rows: Iterable[LogRow]) -> tuple[LogRow, ...]:
    return tuple(sorted(rows, key=lambda row: row.time_ns))
