"""Log records by number, from the embedded store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from otel_django.backends import embedded_log_search
from otel_django.backends.embedded_log_search import LEVEL_CLASS, Row, newest_time
from otel_django.backends.embedded_roll_ups import LATE, MINUTE_NS, Steps, sums, texts
from otel_django.backends.embedded_session import Session, StoreReader
from otel_django.backends.log_tally import Tally
from otel_django.contracts import LogQuery
from otel_django.store.roll_up_schema import LOG_COUNT, LONG_MINUTES
from otel_django.store.schema import WITH_LOGS_AND_METRICS, WITH_ROLL_UPS

if TYPE_CHECKING:
    from otel_django.roll_ups import LogSummary
    from otel_django.store.slices import Slice

MOST_COUNTED: Final = 20_000
MANY: Final = "so many match that only the newest are counted: narrow the search, or the range"
OLDER: Final = "records that an older version wrote aren't counted by logger"


class EmbeddedLogSummaryReader(StoreReader):
    """A ``LogSummaryReader`` of the store at ``path``; cheap to make."""

    def summary(
        self, since_ns: int, until_ns: int, step_ns: int, query: LogQuery | None = None
    ) -> LogSummary:
        """At most 2,000 steps: the last ones; 50 loggers and services.

        Words, attributes and such are looked for in the newest 20,000 records that have them.
        """
        steps = Steps(since_ns, until_ns, step_ns)
        query = replace(
            query or LogQuery(), since_ns=since_ns, until_ns=(steps.last + 1) * MINUTE_NS - 1
        )
        with self._session() as read:
            if not _is_searched(query):
                found, note = _sums(read, steps)
                return _tally(read, query, found).summary(steps, note)
            anything = replace(query, service=None, logger=None, min_severity=None)
            found, note = _searched(read, anything, steps)
            around = _tally(read, query, found)
            if note and anything != query:
                # Rare ones among many: there are few enough of them to find all.
                found, note = _searched(read, query, steps)
                return _tally(read, query, found).summary(steps, note, around)
            return around.summary(steps, note)


def _is_searched(query: LogQuery) -> bool:
    """Whether there are no sums by what is asked for."""
    return bool(query.text.strip() or query.attributes or query.event or query.trace_id)


def _tally(read: Session, query: LogQuery, found: Iterable[Row]) -> Tally:
    rows: Counter[tuple[int, int, int | None, int]] = Counter()
    for *key, count in found:
        rows[tuple(key)] += count
    named = texts(read, {number for _, _, *ids in rows for number in ids})
    return Tally(
        query,
        (
            ((at, level, None if logger is None else named.get(logger, ""), named.get(of, "")), n)
            for (at, level, logger, of), n in rows.items()
        ),
    )


def _sums(read: Session, steps: Steps) -> tuple[list[Row], str]:
    """Of all records; what to say of them."""
    found: list[Row] = []
    try:
        for part in read.slices:
            found += _counts(read, part, steps)
    except TimeoutError:
        if not found:
            raise
        read.extend(1)
        return found, LATE
    return found, OLDER if any(logger is None for _, _, logger, *_ in found) else ""


def _searched(read: Session, query: LogQuery, steps: Steps) -> tuple[list[Row], str]:
    """Of those that match, from the newest slice on."""
    found: list[Row] = []
    left = MOST_COUNTED
    for part in read.slices:
        if part.version < WITH_LOGS_AND_METRICS:
            break
        if newest_time(read, part) < (query.since_ns or 0):
            continue
        if left <= 0:
            return found, MANY
        counted = embedded_log_search.count(read, part, query, steps.step_ns, left)
        found += counted.rows
        left -= counted.looked_at
        if counted.is_cut:
            return found, MANY
    return found, ""


def _counts(read: Session, part: Slice, steps: Steps) -> Iterable[Row]:
    """Step, level, logger, service, count; logger is None where nobody has counted by it."""
    if part.version >= WITH_ROLL_UPS:
        columns = f"minute / {steps.minutes}, level, logger, service"
        minutes = (steps.first, steps.last)
        fine = bool(steps.minutes % LONG_MINUTES)
        return sums(read, part, LOG_COUNT, columns, minutes, fine=fine)
    if part.version < WITH_LOGS_AND_METRICS:
        return ()
    return read.run(
        f"SELECT time_ns / {steps.step_ns}, {LEVEL_CLASS}, NULL, service, count(*) "
        f"FROM log_{part.id} AS s INDEXED BY log_{part.id}_time "
        "WHERE time_ns >= ? AND time_ns < ? GROUP BY 1, 2, 4",
        (steps.first * MINUTE_NS, (steps.last + 1) * MINUTE_NS),
    )
