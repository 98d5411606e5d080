"""Log records by number, from the embedded store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from otel_django.backends.embedded_roll_ups import LATE, MINUTE_NS, Steps, sums, texts
from otel_django.backends.embedded_session import TIMEOUT_S, Session, session
from otel_django.roll_ups import Facet, LevelMoment, LogSummary
from otel_django.store.roll_up_schema import LEVELS, LOG_COUNT, LONG_MINUTES
from otel_django.store.schema import WITH_LOGS_AND_METRICS, WITH_ROLL_UPS
from otel_django.store.texts import text_id

if TYPE_CHECKING:
    from otel_django.store.slices import Slice

MAX_FACETS: Final = 50
OLDER: Final = "records that an older version wrote aren't counted by logger"


class EmbeddedLogSummaryReader:
    """A ``LogSummaryReader`` of the store at ``path``; cheap to make."""

    def __init__(self, path: Path, timeout_s: float = TIMEOUT_S) -> None:
        self.path = path
        self._timeout_s = timeout_s

    def _session(self) -> AbstractContextManager[Session]:
        return session(self.path, self._timeout_s)

    def summary(
        self, since_ns: int, until_ns: int, step_ns: int, service: str | None = None
    ) -> LogSummary:
        """At most 2,000 steps: the last ones; 50 loggers and services.

        ``services`` are all of the range, whichever one the rest is about.
        """
        steps = Steps(since_ns, until_ns, step_ns)
        moments: dict[int, Counter[str]] = {}
        loggers: Counter[int] = Counter()
        services: Counter[int] = Counter()
        wanted = None if service is None else text_id(service)
        note = ""
        with self._session() as read:
            try:
                for part in read.slices:
                    for at, level, logger, of, count in _counts(read, part, steps):
                        services[of] += count
                        if wanted in (None, of):
                            moments.setdefault(at, Counter())[LEVELS[level]] += count
                            if logger is None:
                                note = OLDER
                            else:
                                loggers[logger] += count
            except TimeoutError:
                if not services:
                    raise
                note = LATE
                read.extend(1)
            named = texts(read, (*dict(loggers.most_common(MAX_FACETS)), *services))
        levels: Counter[str] = Counter()
        for each in moments.values():
            levels.update(each)
        return LogSummary(
            steps.step_ns,
            tuple(LevelMoment(steps.start_ns(at), moments.get(at, {})) for at in steps.numbers),
            levels,
            _facets(loggers, named),
            _facets(services, named),
            note,
        )


def _counts(read: Session, part: Slice, steps: Steps) -> Iterable[tuple[Any, ...]]:
    """Step, level, logger, service, count; logger is None where nobody has counted by it."""
    if part.version >= WITH_ROLL_UPS:
        columns = f"minute / {steps.minutes}, level, logger, service"
        minutes = (steps.first, steps.last)
        fine = bool(steps.minutes % LONG_MINUTES)
        return sums(read, part, LOG_COUNT, columns, minutes, fine=fine)
    if part.version < WITH_LOGS_AND_METRICS:
        return ()
    return read.run(
        f"SELECT time_ns / {steps.step_ns}, min(max(severity - 5, 0) / 4, {len(LEVELS) - 1}), "
        f"NULL, service, count(*) FROM log_{part.id} INDEXED BY log_{part.id}_time "
        "WHERE time_ns >= ? AND time_ns < ? GROUP BY 1, 2, 4",
        (steps.first * MINUTE_NS, (steps.last + 1) * MINUTE_NS),
    )


def _facets(counts: Counter[int], named: dict[int, str]) -> tuple[Facet, ...]:
    most = counts.most_common(MAX_FACETS)
    return tuple(Facet(named.get(number, ""), count) for number, count in most)
