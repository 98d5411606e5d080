"""Reading sums: from half hours where a range is long, from minutes at its ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from otel_django.store.json_text import dumps
from otel_django.store.roll_up_schema import LONG_MINUTES
from otel_django.store.schema import WITH_ROLL_UPS

if TYPE_CHECKING:
    from otel_django.backends.embedded_session import Session
    from otel_django.store.roll_up_schema import RollUp
    from otel_django.store.slices import Slice

MINUTE_NS: Final = 60_000_000_000
MAX_STEPS: Final = 2_000
LATE: Final = "time was up: the figures lack older times; ask for a shorter range"


class Steps:
    """A range in whole minutes, cut into steps; at most 2,000 of them: the last ones."""

    def __init__(self, since_ns: int, until_ns: int, step_ns: int = MINUTE_NS) -> None:
        self.minutes = max(step_ns // MINUTE_NS, 1)
        self.last = max(until_ns, 0) // MINUTE_NS
        self.asked = max(since_ns // MINUTE_NS, self.last - (MAX_STEPS - 1) * self.minutes, 0)
        self.first = self.asked // self.minutes * self.minutes

    @property
    def step_ns(self) -> int:
        """How long each is."""
        return self.minutes * MINUTE_NS

    @property
    def numbers(self) -> range:
        """Minute of the epoch divided by the length of a step."""
        return range(self.first // self.minutes, self.last // self.minutes + 1)

    @property
    def parts(self) -> list[tuple[tuple[int, int], bool]]:
        """First and last minute of the range, and of what its first step has before it: False."""
        before = [((self.first, self.asked - 1), False)] if self.first < self.asked else []
        return [*before, ((self.asked, self.last), True)]

    def start_ns(self, number: int) -> int:
        """When one begins."""
        return number * self.step_ns


def sums(
    read: Session,
    part: Slice,
    table: RollUp,
    columns: str,
    minutes: tuple[int, int],
    *,
    where: str = "true",
    arguments: tuple[Any, ...] = (),
    fine: bool = False,
    only: tuple[str, ...] = (),
) -> Iterator[tuple[Any, ...]]:
    """``columns`` with the table's sums by each; the same columns may come up to three times.

    ``minutes``: first and last. ``fine``: half hours are too long. ``only``: not all sums.
    Slices that have ended and are asked for as a whole are read once.
    """
    width = columns.count(",") + 1
    # Slices of before have no sums but these.
    wanted = only or table.sums
    known = [each for each in wanted if part.version >= WITH_ROLL_UPS or each in _EVER]
    added = ", ".join(f"sum({each})" for each in known)
    coarse = part.version >= WITH_ROLL_UPS and not fine
    select = f"SELECT {columns}, {added} FROM "
    group = f"GROUP BY {', '.join(map(str, range(1, width + 1)))}"
    longest = LONG_MINUTES if coarse else 1
    if read.has_ended(part):
        rows = f"{_PREFIXES[longest]}{table.name}_{part.id}"
        low, high = _extent(read, part, rows, longest)
        if minutes[0] > high or minutes[1] < low:
            return
        if minutes[0] <= low and high <= minutes[1]:
            yield from read.run_in(part, f"{select} {rows} WHERE {where} {group}", arguments)
            return
    for length, first, last in stretches(*minutes, (LONG_MINUTES, 1) if coarse else (1,)):
        yield from read.run(
            f"{select} {_PREFIXES[length]}{table.name}_{part.id} "
            f"WHERE minute BETWEEN ? AND ? AND {where} {group}",
            (first, last, *arguments),
        )


def _extent(read: Session, part: Slice, rows: str, length: int) -> tuple[int, int]:
    """The first and last minute that a table has anything of; ``length`` is its rows'."""
    sql = f"SELECT (SELECT min(minute) FROM {rows}), (SELECT max(minute) FROM {rows})"
    low, high = read.run_in(part, sql)[0]
    return (0, -1) if low is None else (low, high + length - 1)


_PREFIXES: Final = {1: "", LONG_MINUTES: "long_"}
_EVER: Final = ("count", "errors", "duration_ns")


def stretches(first: int, last: int, lengths: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """What to take minutes from: the longest rows that fit, at the ends shorter ones, by time.

    ``lengths`` are in minutes, falling to 1. Each stretch is a length, its first and last minute.
    """
    longest, *shorter = lengths
    begin = -(-first // longest) * longest
    end = (last + 1) // longest * longest
    if begin >= end:
        if shorter:
            yield from stretches(first, last, shorter)
        return
    if first < begin:
        yield from stretches(first, begin - 1, shorter)
    yield longest, begin, end - 1
    if end <= last:
        yield from stretches(end, last, shorter)


def with_roll_ups(read: Session) -> list[Slice]:
    """The slices that have all sums."""
    return [part for part in read.slices if part.version >= WITH_ROLL_UPS]


def older(read: Session, since_ns: int) -> bool:
    """Whether a slice without them may have something of a range that begins at ``since_ns``."""
    ends_ns = 1 << 63
    for part in read.slices:
        if part.version < WITH_ROLL_UPS and ends_ns >= since_ns:
            return True
        ends_ns = part.started_ns
    return False


def texts(read: Session, ids: Iterable[int | None]) -> dict[int, str]:
    """Texts by their ids, as far as they are kept."""
    found: dict[int, str] = {}
    wanted = {number for number in ids if number is not None}
    for part in read.slices:
        missing = [number for number in wanted if number not in found]
        if not missing:
            break
        sql = f"SELECT id, value FROM text_{part.id} WHERE id IN (SELECT value FROM json_each(?))"
        found.update(read.run(sql, (dumps(missing),)))
    return found
