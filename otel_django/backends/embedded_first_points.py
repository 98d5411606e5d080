"""A sum's first point: what it counts up to the last one of a long step is known by it only."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from otel_django.backends.embedded_points import FEW, MAX_POINTS, Part, Source, sources
from otel_django.store.json_text import dumps
from otel_django.store.metric_schema import MINUTE_NS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_django.backends.embedded_session import Session

Row = tuple[Any, ...]
"""Series, time, start, value, data."""
# Beside min(), SQLite takes the other columns from the row that has it.
FIRST: Final = "p.series, min(p.time_ns), p.start_ns, p.value, p.data"
ANY_LENGTH_NS: Final = 1440 * MINUTE_NS


def first_rows(
    read: Session,
    parts: Iterable[Part],
    metric: int,
    series: Iterable[int],
    low_ns: int,
    high_ns: int,
) -> dict[int, Row]:
    """Of each series the first row between two times, inclusive."""
    found: dict[int, Row] = {}
    for part in parts:
        if part.has(low_ns, high_ns):
            rows = _Search(read, part, metric).first(set(series), low_ns, high_ns, ANY_LENGTH_NS)
            for number, row in rows.items():
                found[number] = min(row, found.get(number, row), key=_time_ns)
    return found


def _time_ns(row: Row) -> int:
    time_ns: int = row[1]
    return time_ns


class _Search:
    """In one slice: long rows say in which of their stretches to look for shorter ones."""

    def __init__(self, read: Session, part: Part, metric: int) -> None:
        self._read = read
        self._part = part
        self._metric = metric

    def first(self, series: set[int], low_ns: int, high_ns: int, fits_ns: int) -> dict[int, Row]:
        found: dict[int, Row] = {}
        for source in sources(self._part, low_ns, high_ns, fits_ns):
            if left := series - found.keys():
                found |= self._in(source, left, low_ns, high_ns)
        return found

    def _in(self, source: Source, series: set[int], low_ns: int, high_ns: int) -> dict[int, Row]:
        rows = self._read.run(
            source.sql(FIRST, FEW, "GROUP BY p.series"),
            {
                "metric": self._metric,
                "series": dumps(sorted(series)),
                "low": source.low,
                "high": source.high,
                "since": low_ns,
                "until": high_ns,
                "limit": MAX_POINTS,
            },
        )
        found = {row[0]: row for row in rows}
        length_ns = source.length_ns
        if length_ns <= MINUTE_NS:
            return found
        stretches: dict[int, set[int]] = defaultdict(set)
        for number, row in found.items():
            stretches[_time_ns(row) // length_ns].add(number)
        for at, numbers in stretches.items():
            end_ns = (at + 1) * length_ns - 1
            # A quarter: no row as long as this one fits into that.
            found |= self.first(numbers, at * length_ns, end_ns, length_ns // 4)
        return found
