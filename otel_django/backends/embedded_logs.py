"""Reads logs from the embedded store: read-only, each answer bounded in time and rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_django import names
from otel_django.backends import embedded_log_search as search
from otel_django.backends.embedded_arrivals import arrived, cursor_at
from otel_django.backends.embedded_log_search import LOG_SQL, Position
from otel_django.backends.embedded_session import Session, StoreReader
from otel_django.contracts import LogPage, LogQuery, LogRow
from otel_django.errors import UnknownPlaceError
from otel_django.store.json_text import loads
from otel_django.store.log_rows import LOW_BITS
from otel_django.store.schema import WITH_LOGS_AND_METRICS

if TYPE_CHECKING:
    from otel_django.store.slices import Slice

MAX_PAGE: Final = 1_000
GONE: Final = "the record is no longer kept"

Placed = tuple[Position, tuple[Any, ...]]


class EmbeddedLogReader(StoreReader):
    """A ``LogReader`` of the store at ``path``; cheap to make.

    Where there is no file yet, there is nothing to read: answers are empty.
    """

    def list_logs(self, query: LogQuery) -> LogPage:
        """One page; at most 1,000 records."""
        limit = max(1, min(query.limit, MAX_PAGE))
        after = None if query.cursor is None else _position(query.cursor, parts=3)
        found: list[Placed] = []
        note = ""
        with self._session() as read:
            try:
                for part in _with_logs(read):
                    if len(found) > limit:
                        found = _newest_first(found)[: limit + 1]
                        if search.newest_time(read, part) < found[-1][0].time_ns:
                            continue
                    more = search.find(read, part, query, after, limit + 1)
                    found += _placed(part.id, more.rows)
                    note = note or more.note
            except TimeoutError:
                if not found:
                    raise
                note = search.LATE
        found = _newest_first(found)
        make = LogRows().row
        cursor = ":".join(map(str, found[limit - 1][0])) if len(found) > limit else None
        return LogPage(tuple(make(*each) for each in found[:limit]), cursor, note)

    def logs_since(self, cursor: str | None, limit: int = 2000) -> LogPage:
        """What was written after ``cursor``; after a new store has begun, from its start."""
        make = LogRows().row
        with self._session() as read:
            parts = [part.id for part in _with_logs(read)]
            sql = LOG_SQL.replace("{1}", "")
            found, end = arrived(read, parts, "log", sql, cursor, limit)
        rows = (make(*each) for part, more in found for each in _placed(part, more))
        return LogPage(tuple(rows), end)

    def cursor_at(self, since_ns: int) -> str:
        """For ``logs_since``: before all records of a time and later."""
        with self._session() as read:
            return cursor_at(_with_logs(read), since_ns)

    def logs_around(self, key: str, before: int = 20, after: int = 20) -> LogPage:
        """Up to 1,000 records on each side."""
        place = _position(key, parts=2)
        make = LogRows().row
        with self._session() as read:
            parts = {part.id: part for part in _with_logs(read)}
            if place.slice not in parts:
                return LogPage((), partial=GONE)
            sql = LOG_SQL.format(place.slice, "")
            own = read.run(f"{sql} WHERE s.id = ?", (place.id,))
            if not own:
                return LogPage((), partial=GONE)
            place = place._replace(time_ns=own[0][search.TIME])
            newer = _neighbours(read, list(parts.values()), place, min(after, MAX_PAGE), newer=True)
            older = _neighbours(read, list(parts.values()), place, min(before, MAX_PAGE))
        rows = [*older[::-1], (place, own[0]), *newer]
        return LogPage(tuple(make(*each) for each in rows))


class LogRows:
    """Makes LogRows; what many have in common is parsed once."""

    def __init__(self) -> None:
        self._resources: dict[str, Any] = {}

    def row(self, place: Position, row: tuple[Any, ...]) -> LogRow:
        """A row of LOG_SQL."""
        _, time_ns, severity, level, event, logger, source, high, low, span_id, data = row
        more = loads(data) if data else {}
        resource = self._resource(source or "{}")
        return LogRow(
            key=f"{place.slice}:{place.id}",
            time_ns=time_ns,
            severity_number=severity,
            level=level,
            event=event,
            logger=logger or "",
            service=str(resource.get(names.SERVICE_NAME, "")),
            trace_id="" if low is None else f"{_hex(high)}{_hex(low)}",
            span_id="" if span_id is None else _hex(span_id),
            attributes=more.get("attributes", {}),
            resource=resource,
            body=more.get("body"),
            named=bool(more.get("named")),
        )

    def _resource(self, source: str) -> Any:
        known = self._resources.get(source)
        if known is None:
            known = self._resources[source] = loads(source).get("resource", {})
        return known


def _with_logs(read: Session) -> list[Slice]:
    return [part for part in read.slices if part.version >= WITH_LOGS_AND_METRICS]


def _neighbours(
    read: Session, parts: list[Slice], place: Position, count: int, *, newer: bool = False
) -> list[Placed]:
    """The nearest of the same service, nearest first."""
    found: list[Placed] = []
    sign, direction = (">", "ASC") if newer else ("<", "DESC")
    for part in parts:
        order = (part.id > place.slice) - (part.id < place.slice)
        # Of those with the same time, the order of arrival counts.
        last_id = place.id if not order else (0 if order > 0 else 2**63 - 1)
        rows = read.run(
            f"{LOG_SQL.format(part.id, f'INDEXED BY log_{part.id}_time')} "
            f"WHERE s.service = (SELECT service FROM log_{place.slice} WHERE id = ?) "
            f"AND s.time_ns {sign}= ? AND (s.time_ns {sign} ? OR s.id {sign} ?) "
            f"ORDER BY s.time_ns {direction}, s.id {direction} LIMIT ?",
            (place.id, place.time_ns, place.time_ns, last_id, count),
        )
        found += _placed(part.id, rows)
    return sorted(found, key=lambda each: each[0], reverse=not newer)[:count]


def _placed(number: int, rows: list[tuple[Any, ...]]) -> list[Placed]:
    return [(Position(row[search.TIME], number, row[search.ID]), row) for row in rows]


def _newest_first(found: list[Placed]) -> list[Placed]:
    return sorted(found, key=lambda each: each[0], reverse=True)


def _hex(number: int) -> str:
    return format(number & LOW_BITS, "016x")


def _position(text: str, parts: int) -> Position:
    """Of a cursor, which has the time first, or a key, which has none."""
    numbers = text.split(":")
    if len(numbers) != parts or not all(each.removeprefix("-").isdecimal() for each in numbers):
        raise UnknownPlaceError("not a cursor or key of this reader")
    if max(map(len, numbers)) > 20:
        raise UnknownPlaceError("not a cursor or key of this reader")
    time_ns, part, row = (
        max(-(2**63), min(int(each), 2**63 - 1))
        for each in (numbers if parts == 3 else ["0", *numbers])
    )
    return Position(time_ns, part, row)
