"""How many processes want a processor, for each processor of the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from otel_django.health.check import Registered
from otel_django.health.judging import judged
from otel_django.health.results import Result

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.conf.limits import Limit


def checks(settings: Settings) -> Iterator[Registered]:
    """One check, where the system tells it."""
    check = LoadCheck(settings.health_limits["load"])
    yield Registered(
        "load",
        check.run,
        groups=frozenset(),
        is_possible=lambda: hasattr(os, "getloadavg"),
    )


@dataclass(frozen=True)
class LoadCheck:
    """``limit`` is a processor's, of the last minute's average."""

    limit: Limit

    def run(self) -> Result:
        """Look."""
        load_1m, load_5m, load_15m = os.getloadavg()
        processors = os.cpu_count() or 1
        status = judged(load_1m / processors, self.limit)
        message = f"{load_1m:.1f} processes run or wait, on {processors} processors."
        return Result(
            status,
            message if status != "healthy" else "",
            {
                "load_per_processor": round(load_1m / processors, 2),
                "load_1m": round(load_1m, 2),
                "load_5m": round(load_5m, 2),
                "load_15m": round(load_15m, 2),
                "processors": processors,
            },
        )
