"""How much of the processors' time is used: of the container's share, else of the machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from otel_django.health.check import Registered
from otel_django.health.control_group import ControlGroup
from otel_django.health.judging import judged
from otel_django.health.results import Result

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.conf.limits import Limit

LEAST_S: Final = 0.2
MOST_S: Final = 60.0
"""Between two samples: any longer ago says nothing about now."""
LEAST_JUDGED_S: Final = 1.0


def checks(settings: Settings) -> Iterator[Registered]:
    """One check."""
    check = CpuCheck(settings.health_limits["cpu"])
    yield Registered("cpu", check.run, groups=frozenset())


class Sample(NamedTuple):
    """Seconds of processors, used and in all; ``quota`` None: the machine's."""

    taken_s: float
    used_s: float
    total_s: float
    quota: float | None


class CpuCheck:
    """Since the last look where that was within a minute, else within the next 0.2 s.

    ``limit`` is in per cent. A process that starts takes all it can get for a moment: what is seen
    of less than a second is shown and not judged.
    """

    def __init__(self, limit: Limit, group: ControlGroup | None = None) -> None:
        self._limit = limit
        self._group = group or ControlGroup()
        self._before: Sample | None = None

    def run(self) -> Result:
        """Look."""
        before, now = self._samples()
        self._before = now
        spent_s = (now.total_s - before.total_s) or 1.0
        ratio = min(max((now.used_s - before.used_s) / spent_s, 0.0), 1.0)
        over_s = now.taken_s - before.taken_s
        status = judged(100 * ratio, self._limit) if over_s >= LEAST_JUDGED_S else "healthy"
        whose = "machine" if now.quota is None else "container"
        return Result(
            status,
            f"{ratio:.0%} of the {whose}'s processor time is used." if status != "healthy" else "",
            {
                "used_ratio": round(ratio, 4),
                "over_s": round(over_s, 1),
                "limit_of": whose,
            },
        )

    def _samples(self) -> tuple[Sample, Sample]:
        before, now = self._before, self._sample()
        if before is None or before.quota != now.quota or now.taken_s - before.taken_s > MOST_S:
            before = now
        missing_s = LEAST_S - (now.taken_s - before.taken_s)
        if missing_s > 0:
            time.sleep(missing_s)
            now = self._sample()
        return before, now

    def _sample(self) -> Sample:
        taken_s = time.monotonic()
        container = self._group.processors()
        if container is not None:
            used_s, quota = container
            return Sample(taken_s, used_s, taken_s * quota, quota)
        import psutil

        spent = psutil.cpu_times()._asdict()
        # A guest's time is part of user and nice.
        total_s = sum(value for mode, value in spent.items() if not mode.startswith("guest"))
        return Sample(taken_s, total_s - spent["idle"] - spent.get("iowait", 0.0), total_s, None)
