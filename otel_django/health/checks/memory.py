"""Whether there is memory left: the container's, else the machine's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from otel_django.health.check import Registered
from otel_django.health.control_group import ControlGroup
from otel_django.health.judging import judged
from otel_django.health.results import Result

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.conf.limits import Limit


def checks(settings: Settings) -> Iterator[Registered]:
    """One check."""
    check = MemoryCheck(settings.health_limits["memory"])
    yield Registered("memory", check.run, groups=frozenset())


@dataclass(frozen=True)
class MemoryCheck:
    """``limit`` is in per cent of what may be used."""

    limit: Limit
    group: ControlGroup = field(default_factory=ControlGroup)

    def run(self) -> Result:
        """Look."""
        import psutil

        machine = psutil.virtual_memory()
        container = self.group.memory(machine.total)
        used, total = container or (machine.total - machine.available, machine.total)
        whose = "container" if container else "machine"
        status = judged(100 * used / total, self.limit)
        message = f"{used / total:.0%} of the {whose}'s {total / 2**30:.1f} GiB are used."
        return Result(
            status,
            message if status != "healthy" else "",
            {
                "used_ratio": round(used / total, 4),
                "used_bytes": used,
                "limit_bytes": total,
                "limit_of": whose,
            },
        )
