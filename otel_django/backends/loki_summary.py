"""Log records by number, from Loki: it counts all but what has words."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from otel_django.backends.embedded_log_summary import MAX_FACETS
from otel_django.backends.embedded_roll_ups import MINUTE_NS, Steps
from otel_django.backends.loki_query import LOGGER, SERVICE, SEVERITY, is_whole, logql
from otel_django.contracts import LogQuery
from otel_django.roll_ups import Facet, LevelMoment, LogSummary
from otel_django.store.log_rows import level_class
from otel_django.store.roll_up_schema import LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_django.backends.loki import LokiReader

MOST_COUNTED: Final = 5_000
MANY: Final = f"only the newest {MOST_COUNTED:,} of them are counted: narrow the search"
_BY: Final = f"sum by ({SEVERITY}, {LOGGER}, {SERVICE})"
_Key = tuple[int, int, str, str]
"""Step, class of severity, logger, service."""


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
            return _summary(steps, query, self._counted(anything, steps), "")
        rows, note = self._looked_at(query, steps)
        return _summary(steps, query, rows, note)

    def _counted(self, query: LogQuery, steps: Steps) -> Counter[_Key]:
        """Of each step at its end, a millisecond late.

        Loki counts what comes after a beginning up to an end, inclusive; in milliseconds.
        """
        step_s = steps.step_ns // 10**9
        first, last = steps.numbers[0], steps.numbers[-1]
        found: Counter[_Key] = Counter()
        for labels, values in self._reader.counts(
            f"{_BY} (count_over_time({logql(query)} [{step_s}s] offset 1ms))",
            steps.start_ns(first + 1),
            steps.start_ns(last + 1),
            steps.step_ns,
        ):
            level = level_class(_severity(labels))
            for at_ns, count in values.items():
                at = at_ns // steps.step_ns - 1
                found[at, level, labels.get(LOGGER, ""), labels.get(SERVICE, "")] += count
        return found

    def _looked_at(self, query: LogQuery, steps: Steps) -> tuple[Counter[_Key], str]:
        found: Counter[_Key] = Counter()
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


def _severity(labels: dict[str, str]) -> int:
    text = labels.get(SEVERITY, "")
    return int(text) if text.isdecimal() and len(text) < 3 else 0


def _summary(steps: Steps, query: LogQuery, rows: Counter[_Key], note: str) -> LogSummary:
    moments: dict[int, Counter[str]] = {}
    choices: Counter[str] = Counter()
    loggers: Counter[str] = Counter()
    services: Counter[str] = Counter()
    levels: Counter[str] = Counter()
    least = level_class(query.min_severity or 0)
    for (at, level, logger, service), count in rows.items():
        is_level, is_service = level >= least, query.service in (None, service)
        is_logger = _is_logger(logger, query.logger)
        if is_level and is_logger and is_service:
            moments.setdefault(at, Counter())[LEVELS[level]] += count
            levels[LEVELS[level]] += count
        if is_logger and is_service:
            choices[LEVELS[level]] += count
        if is_level and is_service:
            loggers[logger] += count
        if is_level and is_logger:
            services[service] += count
    return LogSummary(
        steps.step_ns,
        tuple(LevelMoment(steps.start_ns(at), moments.get(at, {})) for at in steps.numbers),
        levels,
        choices,
        _facets(loggers.most_common(MAX_FACETS)),
        _facets(services.most_common(MAX_FACETS)),
        note,
    )


def _is_logger(name: str, wanted: str | None) -> bool:
    if wanted is None:
        return True
    return name.startswith(wanted.rstrip("*")) if wanted.endswith("*") else name == wanted


def _facets(counts: Iterable[tuple[str, int]]) -> tuple[Facet, ...]:
    return tuple(Facet(value, count) for value, count in counts)
