"""Log records by number, from the embedded store."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from otel_django.backends.embedded_session import TIMEOUT_S, Session, session
from otel_django.roll_ups import Facet, LevelMoment, LogSummary
from otel_django.store.schema import WITH_LOGS_AND_METRICS
from otel_django.store.texts import text_id

MINUTE_NS: Final = 60_000_000_000
MAX_STEPS: Final = 2_000
MAX_FACETS: Final = 50
LEVELS: Final = ("debug", "info", "warning", "error", "critical")


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
        """At most 2,000 steps: the last ones; 50 loggers and services."""
        step = max(step_ns // MINUTE_NS, 1)
        last = until_ns // MINUTE_NS
        first = max(since_ns // MINUTE_NS, last - MAX_STEPS * step) // step * step
        moments: dict[int, dict[str, int]] = {}
        loggers: dict[str, int] = {}
        services: dict[str, int] = {}
        wanted = "true" if service is None else f"s.service = {text_id(service)}"
        with self._session() as read:
            for part in read.slices:
                if part.version < WITH_LOGS_AND_METRICS:
                    continue
                for at, level, logger, of, count in read.run(
                    f"SELECT time_ns / {step * MINUTE_NS}, min(max(severity - 5, 0) / 4, 4), "
                    "logger.value, service.value, count(*) "
                    f"FROM log_{part.id} AS s "
                    f"LEFT JOIN text_{part.id} AS logger ON logger.id = s.logger "
                    f"LEFT JOIN text_{part.id} AS service ON service.id = s.service "
                    f"WHERE time_ns >= ? AND time_ns < ? AND {wanted} GROUP BY 1, 2, 3, 4",
                    (first * MINUTE_NS, (last + 1) * MINUTE_NS),
                ):
                    levels = moments.setdefault(at, {})
                    levels[LEVELS[level]] = levels.get(LEVELS[level], 0) + count
                    loggers[logger or ""] = loggers.get(logger or "", 0) + count
                    services[of or ""] = services.get(of or "", 0) + count
        totals: dict[str, int] = {}
        for levels in moments.values():
            for name, count in levels.items():
                totals[name] = totals.get(name, 0) + count
        return LogSummary(
            step * MINUTE_NS,
            tuple(
                LevelMoment(at * step * MINUTE_NS, moments.get(at, {}))
                for at in range(first // step, last // step + 1)
            ),
            totals,
            _facets(loggers),
            _facets(services),
        )


def _facets(counts: dict[str, int]) -> tuple[Facet, ...]:
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MAX_FACETS]
    return tuple(Facet(value, count) for value, count in most)
