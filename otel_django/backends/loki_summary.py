"""Log records by number, from Loki: it counts all but what has words."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from otel_django.backends.embedded_roll_ups import MINUTE_NS, Steps
from otel_django.backends.log_tally import Key, Tally
from otel_django.backends.loki_query import LOGGER, SERVICE, SEVERITY, is_whole, logql
from otel_django.backends.loki_rows import severity
from otel_django.contracts import LogQuery
from otel_django.store.log_rows import level_class

if TYPE_CHECKING:
    from otel_django.backends.loki import LokiReader
    from otel_django.roll_ups import LogSummary

MOST_COUNTED: Final = 5_000
MANY: Final = f"only the newest {MOST_COUNTED:,} of them are counted: narrow the search"
_BY: Final = f"sum by ({SEVERITY}, {LOGGER}, {SERVICE})"


class LokiSummaryReader:
    """A ``LogSummaryReader``."""

    def __init__(self, reader: LokiReader) -> None:
        self._reader = reader

    def summary(
        self, since_ns: int, until_ns: int, step_ns: int, query: LogQuery | None = None
    ) -> LogSummary:
        """At most 2,000 steps: the last ones; 50 loggers and services."""
        steps = Steps(since_ns, until_ns, step_ns)
        query = query or LogQuery()
        anything = replace(query, service=None, logger=None, min_severity=None)
        if is_whole(query):
            return Tally(query, self._counted(anything, steps).items()).summary(steps, "")
        rows, note = self._looked_at(anything, steps)
        around = Tally(query, rows.items())
        if note and anything != query:  # rare ones among many
            rows, note = self._looked_at(query, steps)
            return Tally(query, rows.items()).summary(steps, note, around)
        return around.summary(steps, note)

    def _counted(self, query: LogQuery, steps: Steps) -> Counter[Key]:
        """Of each step at its end, a millisecond late.

        Loki counts what comes after a beginning up to an end, inclusive; in milliseconds.
        """
        step_s = steps.step_ns // 10**9
        first, last = steps.numbers[0], steps.numbers[-1]
        found: Counter[Key] = Counter()
        for labels, values in self._reader.counts(
            f"{_BY} (count_over_time({logql(query)} [{step_s}s] offset 1ms))",
            steps.start_ns(first + 1),
            steps.start_ns(last + 1),
            steps.step_ns,
        ):
            level = level_class(severity(labels.get(SEVERITY, "")))
            for at_ns, count in values.items():
                at = at_ns // steps.step_ns - 1
                found[at, level, labels.get(LOGGER, ""), labels.get(SERVICE, "")] += count
        return found

    def _looked_at(self, query: LogQuery, steps: Steps) -> tuple[Counter[Key], str]:
        found: Counter[Key] = Counter()
        looked_at, cursor = 0, None
        since_ns, until_ns = steps.first * MINUTE_NS, (steps.last + 1) * MINUTE_NS - 1
        while looked_at < MOST_COUNTED:
            asked = replace(query, since_ns=since_ns, until_ns=until_ns, cursor=cursor, limit=1_000)
            page = self._reader.list_logs(asked)
            for row in page.rows:
                level = level_class(row.severity_number)
                found[row.time_ns // steps.step_ns, level, row.logger, row.service] += 1
            looked_at, cursor = looked_at + len(page.rows), page.cursor
            if cursor is None or page.partial:
                return found, page.partial
        return found, MANY
