"""What processes began over time, from the embedded store."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Literal

from otel_django.backends.embedded_rows import Histogram
from otel_django.backends.embedded_session import TIMEOUT_S, Session, session
from otel_django.roll_ups import Moment, Timeline
from otel_django.store.texts import text_id

MINUTE_NS: Final = 60_000_000_000
MAX_STEPS: Final = 2_000


class EmbeddedTimelineReader:
    """A ``TimelineReader`` of the store at ``path``; cheap to make."""

    def __init__(self, path: Path, timeout_s: float = TIMEOUT_S) -> None:
        self.path = path
        self._timeout_s = timeout_s

    def _session(self) -> AbstractContextManager[Session]:
        return session(self.path, self._timeout_s)

    def requests(
        self,
        since_ns: int,
        until_ns: int,
        step_ns: int,
        service: str | None = None,
        name: str | None = None,
        kind: Literal["all", "requests", "tasks"] = "all",
    ) -> Timeline:
        """At most 2,000 steps: the last ones."""
        step = max(step_ns // MINUTE_NS, 1)
        last = until_ns // MINUTE_NS
        first = max(since_ns // MINUTE_NS, last - MAX_STEPS * step) // step * step
        steps: dict[int, Histogram] = {}
        total = Histogram()
        conditions = ["minute BETWEEN ? AND ?"]
        arguments: list[int] = [first, last]
        for column, value in (("service", service), ("name", name)):
            if value is not None:
                conditions.append(f"{column} = ?")
                arguments.append(text_id(value))
        with self._session() as read:
            for part in read.slices:
                kinds = _KINDS[kind].format(part.id)
                rows = read.run(
                    f"SELECT minute / {step}, bucket, sum(count), sum(errors), sum(duration_ns) "
                    f"FROM endpoint_{part.id} WHERE {' AND '.join([*conditions, kinds])} "
                    "GROUP BY 1, 2",
                    tuple(arguments),
                )
                for at, *sums in rows:
                    steps.setdefault(at, Histogram()).add(*sums)
                    total.add(*sums)
        moments = tuple(
            _moment(at * step * MINUTE_NS, steps.get(at))
            for at in range(first // step, last // step + 1)
        )
        return Timeline(step * MINUTE_NS, moments, _moment(first * MINUTE_NS, total))


_KINDS: Final = {
    "all": "true",
    "requests": "name IN (SELECT id FROM text_{0} WHERE value GLOB '[A-Z]*')",
    "tasks": "name IN (SELECT id FROM text_{0} WHERE value GLOB 'process *')",
}


def _moment(start_ns: int, sums: Histogram | None) -> Moment:
    if sums is None or not sums.count:
        return Moment(start_ns)
    p50, p95, p99 = (sums.percentile_ns(share) for share in (0.5, 0.95, 0.99))
    return Moment(start_ns, sums.count, sums.errors, sums.duration_ns, p50, p95, p99)
