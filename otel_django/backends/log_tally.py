"""Log records by number, as a query divides them: what it finds, and what else there may be."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from otel_django.backends.text_matching import fits
from otel_django.roll_ups import Facet, LevelMoment, LogSummary
from otel_django.store.log_rows import level_class
from otel_django.store.roll_up_schema import LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_django.backends.embedded_roll_ups import Steps
    from otel_django.contracts import LogQuery

MAX_FACETS: Final = 50
Key = tuple[int, int, str | None, str]
"""Step, class of severity, logger (None: nobody has counted by it), service."""


class Tally:
    """Counts by step, level, logger and service."""

    def __init__(self, query: LogQuery, rows: Iterable[tuple[Key, int]]) -> None:
        self._moments: dict[int, Counter[str]] = {}
        self._choices: Counter[str] = Counter()
        self._loggers: Counter[str] = Counter()
        self._services: Counter[str] = Counter()
        least = level_class(query.min_severity or 0)
        for (at, level, logger, service), count in rows:
            is_level, is_service = level >= least, query.service in (None, service)
            is_logger = query.logger is None or fits(query.logger, logger or "")
            if is_level and is_logger and is_service:
                self._moments.setdefault(at, Counter())[LEVELS[level]] += count
            if is_logger and is_service:
                self._choices[LEVELS[level]] += count
            if is_level and is_service and logger is not None:
                self._loggers[logger] += count
            if is_level and is_logger:
                self._services[service] += count

    def summary(self, steps: Steps, note: str, around: Tally | None = None) -> LogSummary:
        """``around`` has what else there is to choose, where this one hasn't."""
        chosen = around or self
        levels: Counter[str] = Counter()
        for each in self._moments.values():
            levels.update(each)
        return LogSummary(
            steps.step_ns,
            tuple(
                LevelMoment(steps.start_ns(at), self._moments.get(at, {})) for at in steps.numbers
            ),
            levels,
            chosen._choices,
            _facets(chosen._loggers),
            _facets(chosen._services),
            note,
        )


def _facets(counts: Counter[str]) -> tuple[Facet, ...]:
    return tuple(Facet(value, count) for value, count in counts.most_common(MAX_FACETS))
