"""Reads logs from Loki by its HTTP API."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from otel_django.backends.loki_query import is_whole, logql, matches
from otel_django.backends.loki_rows import Entry, entries
from otel_django.contracts import LogPage, LogQuery
from otel_django.errors import UnknownPlaceError

if TYPE_CHECKING:
    from otel_django.backends.remote import Remote

MAX_PAGE: Final = 1_000
CHUNK: Final = 1_000
MOST_LOOKED_AT: Final = 10_000
"""Of records whose words are compared, for one page."""
LONGEST_NS: Final = 30 * 86_400 * 10**9
"""How far back is looked where nobody says: Loki wants to know, and allows 30 days."""
AROUND_NS: Final = 3_600 * 10**9
SETTLED_NS: Final = 2 * 10**9
"""What is older than that has arrived, if nothing was in its way."""
MAX_MARKS: Final = 100
GONE: Final = "the record is no longer kept"
MANY: Final = "only the newest {:,} records were looked at: go on, or name a service or a level"
_APART: Final = {"X_Loki_Response_Encoding_Flags": "categorize-labels"}
"""So that attributes come apart from the labels of streams."""


class LokiReader:
    """A ``LogReader``. All attributes are text: Loki doesn't keep what else they were."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def list_logs(self, query: LogQuery) -> LogPage:
        """At most 1,000; a page may be short although there are more: then it has a cursor."""
        limit = max(1, min(query.limit, MAX_PAGE))
        since_ns, until_ns = _range(query)
        seen: set[str] = set()
        if query.cursor is not None:
            last_ns, seen = _place(query.cursor)
            until_ns = min(until_ns, last_ns)
        found: list[Entry] = []
        looked_at = 0
        while True:
            size = min(5_000, (limit + 1 if is_whole(query) else CHUNK) + len(seen))
            chunk = self.entries(logql(query), since_ns, until_ns, size)
            new = [each for each in chunk if each.time_ns != until_ns or each.mark not in seen]
            looked_at += len(new)
            found += [each for each in new if matches(query, each.row)]
            if len(found) > limit:
                return _page(found[:limit], _cursor(found[:limit], seen, until_ns))
            if len(chunk) < size or not new:
                return _page(found, None)
            seen = _marks(new, seen, until_ns)
            until_ns = new[-1].time_ns
            if looked_at >= MOST_LOOKED_AT:
                cursor = f"{until_ns}:{'.'.join(sorted(seen)[:MAX_MARKS])}"
                return _page(found, cursor, MANY.format(looked_at))

    def logs_since(self, cursor: str | None, limit: int = 2000) -> LogPage:
        """What was made two seconds ago or earlier, by its time.

        What arrives later than that isn't told of: Loki doesn't say what arrived when.
        """
        settled_ns = time.time_ns() - SETTLED_NS
        if cursor is None:
            return LogPage((), f"{settled_ns}:")
        since_ns, seen = _place(cursor)
        size = min(5_000, max(1, limit) + len(seen))
        found = self.entries(logql(LogQuery()), since_ns, settled_ns, size, direction="forward")
        new = [each for each in found if each.time_ns != since_ns or each.mark not in seen][:limit]
        if not new:
            return LogPage((), cursor)
        marks = _marks(new, seen, since_ns)
        return _page(new, f"{new[-1].time_ns}:{'.'.join(sorted(marks)[:MAX_MARKS])}")

    def logs_around(self, key: str, before: int = 20, after: int = 20) -> LogPage:
        """Those of an hour before and after; up to 1,000 on each side."""
        time_ns, marks = _place(key)
        at = self.entries(logql(LogQuery()), time_ns, time_ns, MAX_PAGE)
        own = next((each for each in at if each.mark in marks), None)
        if own is None:
            return LogPage((), partial=GONE)
        of = logql(LogQuery(service=own.row.service or None))
        older = self.entries(of, time_ns - AROUND_NS, time_ns, min(before, MAX_PAGE) + len(at))
        newer = self.entries(
            of, time_ns, time_ns + AROUND_NS, min(after, MAX_PAGE) + len(at), direction="forward"
        )
        place = (own.time_ns, own.mark)
        earlier = sorted({each[:2]: each for each in older if each[:2] < place}.values())
        later = sorted({each[:2]: each for each in newer if each[:2] > place}.values())
        shown = [*(earlier[-before:] if before else ()), own, *later[:after]]
        return LogPage(tuple(each.row for each in shown))

    def entries(
        self, query: str, since_ns: int, until_ns: int, limit: int, *, direction: str = "backward"
    ) -> list[Entry]:
        """Those that a LogQL query finds between two times, inclusive, in the direction's order."""
        if until_ns < since_ns:
            return []
        answer = self._remote.ask(
            "/loki/api/v1/query_range",
            {
                "query": query,
                "start": max(0, since_ns),
                "end": max(0, until_ns) + 1,
                "limit": limit,
                "direction": direction,
            },
            **_APART,
        )
        try:
            found = list(entries(answer["data"]["result"]))
        except (AttributeError, KeyError, TypeError, ValueError):
            raise self._remote.malformed() from None
        found.sort(key=lambda each: each[:2], reverse=direction == "backward")
        return found

    def counts(self, query: str, since_ns: int, until_ns: int, step_ns: int) -> list[Counted]:
        """A metric query's series: labels, and values by time in nanoseconds."""
        answer = self._remote.ask(
            "/loki/api/v1/query_range",
            {
                "query": query,
                "start": since_ns,
                "end": until_ns,
                "step": f"{step_ns // 10**9}s",
            },
        )
        try:
            return [
                (
                    {str(key): str(value) for key, value in series["metric"].items()},
                    {
                        round(float(at) * 10**9): round(float(value))
                        for at, value in series["values"]
                    },
                )
                for series in answer["data"]["result"]
            ]
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            raise self._remote.malformed() from None


Counted = tuple[dict[str, str], dict[int, int]]


def _page(found: list[Entry], cursor: str | None, note: str = "") -> LogPage:
    return LogPage(tuple(each.row for each in found), cursor, note)


def _range(query: LogQuery) -> tuple[int, int]:
    until_ns = time.time_ns() + 60 * 10**9 if query.until_ns is None else query.until_ns
    since_ns = until_ns - LONGEST_NS if query.since_ns is None else query.since_ns
    return since_ns, min(until_ns, 2**63 - 2)


def _marks(shown: list[Entry], seen: set[str], seen_ns: int) -> set[str]:
    """Of those with the last one's time, as many records may have the same."""
    last_ns = shown[-1].time_ns
    marks = {each.mark for each in shown if each.time_ns == last_ns}
    return marks | seen if last_ns == seen_ns else marks


def _cursor(shown: list[Entry], seen: set[str], seen_ns: int) -> str:
    marks = sorted(_marks(shown, seen, seen_ns))[:MAX_MARKS]
    return f"{shown[-1].time_ns}:{'.'.join(marks)}"


def _place(text: str) -> tuple[int, set[str]]:
    """Of a cursor or a key: a time, and which of its records are meant."""
    number, colon, marks = text.partition(":")
    if not colon or not number.isdecimal() or len(number) > 19 or int(number) >= 2**63 - 1:
        raise UnknownPlaceError("not a cursor or key of this reader")
    if len(marks) > 13 * MAX_MARKS:
        raise UnknownPlaceError("not a cursor or key of this reader")
    return int(number), {mark for mark in marks.split(".") if mark}
