"""Reading on from where the last answer ended: rows in the order they were written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_django.errors import UnknownPlaceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_django.backends.embedded_session import Session
    from otel_django.store.slices import Slice

Rows = list[tuple[Any, ...]]


def arrived(
    read: Session, parts: Sequence[int], table: str, sql: str, cursor: str | None, limit: int
) -> tuple[list[tuple[int, Rows]], str]:
    """Rows by slice, written after ``cursor``, and the next cursor; None: only where to go on from.

    ``sql`` selects from ``{table}_{slice} AS s``, its id first. After a new store has begun, from
    that one's start.
    """
    numbers = sorted(parts)
    if cursor is None:
        end = f"{numbers[-1]}:{_last_id(read, table, numbers[-1])}" if numbers else "0:0"
        return [], end
    number, last = _parse(cursor)
    if not numbers:
        return [], cursor
    if number > numbers[-1] or (number == numbers[-1] and last > _last_id(read, table, number)):
        number, last = 0, 0  # another file has taken the place of the one we know
    found: list[tuple[int, Rows]] = []
    left = limit
    for part in numbers:
        if part < number or left <= 0:
            continue
        after = last if part == number else 0
        more = read.run(sql.format(part) + "WHERE s.id > ? ORDER BY s.id LIMIT ?", (after, left))
        if more:
            number, last = part, more[-1][0]
            found.append((part, more))
            left -= len(more)
    return found, f"{number}:{last}"


def cursor_at(parts: Sequence[Slice], since_ns: int) -> str:
    """A cursor before everything that was written since a time; ``parts`` are newest first."""
    number = 0
    for part in parts:
        number = part.id
        if part.started_ns <= since_ns:
            break
    return f"{number}:0"


def _last_id(read: Session, table: str, number: int) -> int:
    last: int | None = read.run(f"SELECT max(id) FROM {table}_{number}")[0][0]
    return last or 0


def _parse(cursor: str) -> tuple[int, int]:
    number, _, last = cursor.partition(":")
    if not (number.isdecimal() and last.isdecimal() and max(len(number), len(last)) < 19):
        raise UnknownPlaceError("not a cursor of this reader")
    return int(number), int(last)
