"""Reads traces from Jaeger 2 by its API v3.

Jaeger finds the newest traces of one service in a range of time, by durations and attributes; what
else is asked for is looked for in what it finds, and the list goes on with older ones.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from otel_django import names
from otel_django.backends import jaeger_search as search
from otel_django.backends.embedded_search import TRACE_ID
from otel_django.backends.jaeger_spans import spans
from otel_django.backends.remote import Remote, TooLargeError, path_part
from otel_django.contracts import SpanPage, TraceDetail, TracePage, TraceQuery
from otel_django.errors import UnknownPlaceError
from otel_django.store.json_text import dumps

if TYPE_CHECKING:
    from otel_django.contracts import SpanRow, TraceSummary

MAX_PAGE: Final = 500
DEPTH: Final = 100
"""How many traces of a service are asked for at once."""
MOST_DEPTH: Final = 1_000
ROUNDS: Final = 4
MAX_SERVICES: Final = 20
MAX_SPANS: Final = 10_000
LONGEST_NS: Final = 30 * 86_400 * 10**9
"""How far back is looked where nobody says."""
LASTS_NS: Final = 3_600 * 10**9
"""No trace that is followed is taken to last longer."""
SETTLED_NS: Final = 5 * 10**9
"""What ended longer ago than that has arrived, if nothing was in its way."""
_LATEST_NS: Final = 4_102_444_800 * 10**9
ONLY_NEWEST: Final = "Jaeger was asked for the newest {} traces only; older ones may match, too"
MANY_SERVICES: Final = f"only {MAX_SERVICES} services were asked for: choose one"
LONG: Final = f"only the first {MAX_SPANS:,} of its spans are shown"


@dataclass
class _Found:
    """Traces that match; ``open_ns``: those that began before aren't known."""

    rows: dict[str, TraceSummary] = field(default_factory=dict)
    open_ns: int = 0
    looked_at: int = 0
    note: str = ""


class JaegerReader:
    """A ``TraceReader``."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    # --- TraceReader

    def list_traces(self, query: TraceQuery) -> TracePage:
        """At most 500; a page may be short although there are more: then it has a cursor."""
        limit = max(1, min(query.limit, MAX_PAGE))
        after = None if query.cursor is None else _place(query.cursor)
        whole = _whole_id(query)
        if whole and (known := self._by_id(whole, query)) is not None:
            return TracePage(known)
        if query.slowest_first:
            return self._slowest(query, after, limit)
        until_ns = query.until_ns
        if after is not None:
            until_ns = after[0] if until_ns is None else min(after[0], until_ns)
        found = self._search(replace(query, until_ns=until_ns), limit + 1, after)
        rows = sorted(found.rows.values(), key=_newest, reverse=True)
        rows = [row for row in rows if after is None or _newest(row) < after]
        note = found.note
        if len(rows) > limit:
            last = rows[limit - 1]
            return TracePage(tuple(rows[:limit]), f"{last.start_ns}:{last.trace_id}", note)
        if not found.open_ns:
            return TracePage(tuple(rows), None, note)
        note = note or ONLY_NEWEST.format(found.looked_at)
        return TracePage(tuple(rows), f"{found.open_ns}:g", note)

    def get_trace(self, trace_id: str) -> TraceDetail | None:
        """At most 10,000 spans."""
        answer = self._remote.ask(f"/api/v3/traces/{path_part(trace_id)}")
        found = self._spans(answer).get(trace_id.lower(), [])
        if not found:
            return None
        note = LONG if len(found) > MAX_SPANS else ""
        return TraceDetail(trace_id.lower(), tuple(found[:MAX_SPANS]), note)

    def spans_since(self, cursor: str | None, limit: int = 2000) -> SpanPage:
        """What ended five seconds ago or earlier, by its end.

        What arrives later than that isn't told of: Jaeger doesn't say what arrived when. Nor is
        what lasted longer than an hour, or has 1,000 newer traces of its service behind it.
        """
        settled_ns = time.time_ns() - SETTLED_NS
        if cursor is None:
            return SpanPage((), f"{settled_ns}:g")
        after = _place(cursor)
        found: dict[tuple[int, str], SpanRow] = {}
        for service in self.services()[:MAX_SERVICES]:
            traces, _ = self._find(service, after[0] - LASTS_NS, settled_ns, MOST_DEPTH)
            for each in traces.values():
                for span in each:
                    found[span.start_ns + span.duration_ns, span.span_id] = span
        places = [place for place in sorted(found) if after < place and place[0] <= settled_ns]
        shown = places[:limit]
        end = shown[-1] if shown else after
        return SpanPage(tuple(found[place] for place in shown), f"{end[0]}:{end[1]}")

    def services(self) -> tuple[str, ...]:
        """Of all the time that Jaeger keeps."""
        answer = self._remote.ask("/api/v3/services") or {}
        try:
            return tuple(sorted({str(each) for each in answer.get("services") or ()}))
        except (AttributeError, TypeError):
            raise self._remote.malformed() from None

    # --- others

    def newest(self, since_ns: int, until_ns: int, depth: int) -> tuple[list[list[SpanRow]], bool]:
        """Traces of a range, at most ``depth`` of each service, and whether these are all."""
        services = list(self.services())
        query = TraceQuery(since_ns=since_ns, until_ns=until_ns)
        rounds = self._round(query, services[:MAX_SERVICES], None, depth)
        found = {key: each for _, traces in rounds for key, each in traces.items()}
        is_all = len(services) <= MAX_SERVICES and not any(horizon for horizon, _ in rounds)
        return list(found.values()), is_all

    # --- asking

    def _by_id(self, trace_id: str, query: TraceQuery) -> tuple[TraceSummary, ...] | None:
        """None where it isn't one, but may be a word."""
        detail = self.get_trace(trace_id)
        if detail is None:
            return () if query.trace_id else None
        row = search.summary(detail.spans)
        return (row,) if search.matches(query, row, detail.spans) else ()

    def _slowest(self, query: TraceQuery, after: tuple[int, str] | None, limit: int) -> TracePage:
        """Jaeger doesn't sort by duration: of the newest ones."""
        found = self._search(query, MOST_DEPTH, None)
        rows = sorted(found.rows.values(), key=_slowness, reverse=True)
        rows = [row for row in rows if after is None or _slowness(row) < after]
        note = found.note or (ONLY_NEWEST.format(found.looked_at) if found.open_ns else "")
        last = rows[limit - 1] if len(rows) > limit else None
        cursor = None if last is None else f"{last.duration_ns}:{last.trace_id}"
        return TracePage(tuple(rows[:limit]), cursor, note)

    def _search(self, query: TraceQuery, wanted: int, after: tuple[int, str] | None) -> _Found:
        """The newest that match, from ``query.until_ns`` on backwards, in a few rounds."""
        found = _Found()
        # A trace's first service may be none that failed, and none of those with a word.
        asked = [query.service] if query.service else list(self.services())
        if len(asked) > MAX_SERVICES:
            asked, found.note = asked[:MAX_SERVICES], MANY_SERVICES
        seen: set[str] = set()
        depth = max(DEPTH, wanted)
        for _ in range(ROUNDS):
            rounds = self._round(query, asked, found.open_ns or None, min(depth, MOST_DEPTH))
            found.open_ns = max((horizon for horizon, _ in rounds), default=0)
            new = {key: each for _, traces in rounds for key, each in traces.items()}
            found.looked_at += len(new.keys() - seen)
            for trace_id, each in new.items():
                row = search.summary(each)
                if row.start_ns >= found.open_ns and search.matches(query, row, each):
                    found.rows[trace_id] = row
            enough = sum(after is None or _newest(row) < after for row in found.rows.values())
            if not found.open_ns or enough >= wanted:
                break
            depth = depth * 4 if new.keys() <= seen else depth
            seen |= new.keys()
        return found

    def _round(
        self, query: TraceQuery, services: Sequence[str], until_ns: int | None, depth: int
    ) -> list[tuple[int, dict[str, list[SpanRow]]]]:
        """Of each service what was found, and from when on that is all; 0: nothing is missing."""
        since_ns, last_ns = _range(query)
        last_ns = last_ns if until_ns is None else min(until_ns, last_ns)

        def one(service: str) -> tuple[int, dict[str, list[SpanRow]]]:
            traces, asked_for = self._find(service, since_ns, last_ns, depth, query)
            if len(traces) < asked_for:
                return 0, traces
            return search.horizon_ns(service, last_ns, traces.values()), traces

        if len(services) < 2:
            return [one(service) for service in services]
        with ThreadPoolExecutor(4, "otel-django-jaeger") as pool:
            return list(pool.map(one, services))

    def _find(
        self,
        service: str,
        since_ns: int,
        until_ns: int,
        depth: int,
        query: TraceQuery | None = None,
    ) -> tuple[dict[str, list[SpanRow]], int]:
        """The newest traces that a service has to do with, and how many were asked for.

        These are fewer than ``depth`` where they are very long.
        """
        try:
            answer = self._remote.ask(
                "/api/v3/traces", _parameters(service, since_ns, until_ns, depth, query)
            )
        except TooLargeError:
            if depth <= 5:
                raise
            return self._find(service, since_ns, until_ns, depth // 4, query)
        return self._spans(answer), depth

    def _spans(self, answer: Any) -> dict[str, list[SpanRow]]:
        if answer is None:
            return {}
        try:
            return search.by_trace(spans(answer["result"]))
        except (AttributeError, KeyError, TypeError, ValueError):
            raise self._remote.malformed() from None


def _parameters(
    service: str, since_ns: int, until_ns: int, depth: int, query: TraceQuery | None
) -> Iterator[tuple[str, Any]]:
    """Under the names of older versions and of newer ones; unknown ones are ignored."""
    asked = {
        "service_name": service,
        "start_time_min": _rfc3339(since_ns),
        "start_time_max": _rfc3339(until_ns),
        "search_depth": depth,
        "duration_min": None,
        "duration_max": None,
    }
    if query is not None:
        # Of any span of the service: its root is one of them.
        asked["duration_min"] = f"{query.min_duration_ns}ns" if query.min_duration_ns else None
    for name, value in asked.items():
        first, *rest = name.split("_")
        yield f"query.{name}", value
        yield f"query.{first}{''.join(map(str.capitalize, rest))}", value
    yield "query.num_traces", depth
    attributes = _attributes(query)
    yield "query.attributes", dumps(attributes) if attributes else None


def _attributes(query: TraceQuery | None) -> dict[str, str]:
    """What the root has, or where errors are asked for, any span: of one span only."""
    if query is None:
        return {}
    if query.errors_only and not query.service:
        return {"error": "true"}
    wanted = {
        names.HTTP_REQUEST_METHOD: query.method,
        names.HTTP_RESPONSE_STATUS_CODE: query.http_status,
    }
    return {name: str(value) for name, value in wanted.items() if value is not None}


def _range(query: TraceQuery) -> tuple[int, int]:
    """As precise as Jaeger is: what it finds too much is left out afterwards."""
    now_ns = time.time_ns()
    until_ns = now_ns + 60 * 10**9 if query.until_ns is None else query.until_ns
    since_ns = now_ns - LONGEST_NS if query.since_ns is None else query.since_ns
    return max(0, min(since_ns, _LATEST_NS)), max(0, min(until_ns, _LATEST_NS))


def _rfc3339(time_ns: int) -> str:
    seconds, nanoseconds = divmod(time_ns, 10**9)
    when = datetime.fromtimestamp(seconds, timezone.utc)
    return f"{when:%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"


def _newest(row: TraceSummary) -> tuple[int, str]:
    return row.start_ns, row.trace_id


def _slowness(row: TraceSummary) -> tuple[int, str]:
    return row.duration_ns, row.trace_id


def _whole_id(query: TraceQuery) -> str:
    for text in (query.trace_id or "", query.text.strip()):
        if len(text) == 32 and TRACE_ID.fullmatch(text):
            return text.lower()
    return ""


def _place(cursor: str) -> tuple[int, str]:
    number, _, key = cursor.partition(":")
    if not number.isdecimal() or len(number) > 19 or int(number) >= 2**63 or len(key) > 32:
        raise UnknownPlaceError("not a cursor of this reader")
    return int(number), key
