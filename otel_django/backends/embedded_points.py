"""Where the embedded store's points of metrics are, and the SQL that reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from otel_django.backends.embedded_roll_ups import stretches
from otel_django.store.metric_schema import LENGTHS, MINUTE_NS, thinned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_django.backends.embedded_session import Session
    from otel_django.store.slices import Slice

# The times of points are walked, a step of the index each, so that points of other metrics are not
# touched.
POINTS_SQL: Final = """
    WITH RECURSIVE at(time) AS (
        SELECT min({time}) FROM {table} WHERE {time} >= :low
        UNION ALL SELECT (SELECT min({time}) FROM {table} WHERE {time} > at.time) FROM at
        WHERE at.time <= :high
    )
    SELECT {columns} FROM at CROSS JOIN {points}
    WHERE at.time <= :high AND p.time_ns BETWEEN :since AND :until {more}
    LIMIT :limit
"""
ALL: Final = "{table} AS p ON p.{time} = at.time AND p.metric = :metric"
FEW: Final = (
    "json_each(:series) AS wanted CROSS JOIN {table} AS p "
    "ON p.{time} = at.time AND p.metric = :metric AND p.series = wanted.value"
)
OF_THESE: Final = "AND p.series IN (SELECT value FROM json_each(:series))"
AS_THEY_ARE: Final = "p.series, p.time_ns, p.start_ns, p.value, p.data"
# Beside max(), SQLite takes the other columns from the row that has it.
LAST: Final = "p.series, max(p.time_ns), p.start_ns, p.value, p.data"
# A series that lives has a row in each of the longer ones' tables; what was not followed at once
# may leave two rows a step.
NONE_FOLLOWS: Final = """
    AND NOT EXISTS (
        SELECT 1 FROM {table} AS next WHERE next.minute = p.minute + :length
        AND next.metric = :metric AND next.series = p.series AND next.start_ns = p.start_ns
        AND next.time_ns <= :until
        AND (p.minute + :length) % :step_minutes <> 0
    )
"""
OF_A_STEP: Final = "GROUP BY p.series, p.start_ns, p.time_ns / :step ORDER BY p.series, p.time_ns"
MAX_POINTS: Final = 100_000
LONGEST_NS: Final = max(LENGTHS.values()) * MINUTE_NS
SIZE: Final = "p.series, max(coalesce(p.value, p.data ->> '$[1]'))"


class Part(NamedTuple):
    """A slice, and between which times its points are."""

    slice: Slice
    first_ns: int
    last_ns: int

    @property
    def id(self) -> int:
        """The slice's."""
        return self.slice.id

    @property
    def wide_ns(self) -> tuple[int, int]:
        """Between which times its rows are that stand for the longest."""
        return self.first_ns // LONGEST_NS * LONGEST_NS, -(-self.last_ns // LONGEST_NS) * LONGEST_NS

    def has(self, first_ns: int, last_ns: int) -> bool:
        """Whether anything of between can be in it."""
        return first_ns <= self.last_ns and last_ns >= self.first_ns


def part_of(read: Session, part: Slice) -> Part | None:
    """By what a slice holds, however late that came; None: it has no points."""
    tables = {"point": ("time_ns", 1, 0)}
    for table in thinned(part.version):
        tables[table] = ("minute", MINUTE_NS, LENGTHS[table] * MINUTE_NS)
    ends = ", ".join(
        f"(SELECT min({time}) FROM {table}_{part.id}), (SELECT max({time}) FROM {table}_{part.id})"
        for table, (time, _, _) in tables.items()
    )
    told = read.run(f"SELECT {ends}")[0]
    spans = [
        (low * unit_ns, high * unit_ns + length_ns)
        for low, high, (_, unit_ns, length_ns) in zip(
            told[::2], told[1::2], tables.values(), strict=True
        )
        if low is not None
    ]
    if not spans:
        return None
    return Part(part, min(low for low, _ in spans), max(high for _, high in spans))


class Source(NamedTuple):
    """A table with its column of time, the first and last that is wanted, how long a row is."""

    table: str
    time: str
    low: int
    high: int
    length_ns: int = 0

    def sql(self, columns: str, points: str = ALL, more: str = "") -> str:
        names = {"table": self.table, "time": self.time}
        return POINTS_SQL.format(**names, columns=columns, points=points.format(**names), more=more)

    def last_of_steps(self, step_ns: int, *, few: bool) -> str:
        """A series' last point of each step and start; or not many more. ``few``: of many."""
        points, more = (FEW, "") if few else (ALL, OF_THESE)
        if self.length_ns > MINUTE_NS and step_ns % self.length_ns == 0:
            follows = NONE_FOLLOWS.format(table=self.table) if step_ns > self.length_ns else ""
            return self.sql(AS_THEY_ARE, points, more + follows)
        return self.sql(LAST, points, f"{more} {OF_A_STEP}")


def sources(part: Part, low_ns: int, high_ns: int, step_ns: int) -> Iterator[Source]:
    """Where a slice's points are, the oldest first."""
    tables = {
        length: table
        for table, length in LENGTHS.items()
        if table in thinned(part.slice.version) and _fits(length * MINUTE_NS, step_ns)
    }
    for length, first, last in stretches(
        low_ns // MINUTE_NS, high_ns // MINUTE_NS, sorted(tables, reverse=True)
    ):
        if part.has(first * MINUTE_NS, (last + 1) * MINUTE_NS):
            table = f"{tables[length]}_{part.id}"
            yield Source(table, "minute", first, last, length * MINUTE_NS)
    yield Source(f"point_{part.id}", "time_ns", low_ns, high_ns)


def _fits(length_ns: int, step_ns: int) -> bool:
    """Whether rows so long will do: they fit into the steps, or are short beside them."""
    return length_ns == MINUTE_NS or step_ns % length_ns == 0 < step_ns or step_ns > 4 * length_ns
