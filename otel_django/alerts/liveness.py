"""What whoever evaluates alerts leaves for others, so that they see when nobody does any more."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

LEASE: Final = "alerts"
"""Of the one process that evaluates, and where it leaves what it last did."""
LEASE_S: Final = 20.0
LATE_INTERVALS: Final = 3


@dataclass(frozen=True, slots=True)
class Evaluated:
    """An evaluation that ended. ``failed`` are the rules that could not be evaluated."""

    interval_s: float
    rules: int
    firing: int
    failed: tuple[str, ...] = ()
    reason: str = ""
    host: str = ""

    def is_late(self, age_s: float) -> bool:
        """Whether another one should have come since."""
        return age_s > LATE_INTERVALS * self.interval_s

    def written(self) -> str:
        """As it is left."""
        return json.dumps(
            {
                "interval_s": self.interval_s,
                "rules": self.rules,
                "firing": self.firing,
                "failed": self.failed,
                "reason": self.reason,
                "host": self.host,
            }
        )


def read(text: str) -> Evaluated | None:
    """What was left; None where it can't be understood."""
    try:
        found = json.loads(text)
        return Evaluated(
            float(found["interval_s"]),
            int(found["rules"]),
            int(found["firing"]),
            tuple(map(str, found["failed"])),
            str(found["reason"]),
            str(found["host"]),
        )
    except (ValueError, TypeError, KeyError):
        return None
