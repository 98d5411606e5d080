"""From when on each alert rule warns and is critical, unless a site says otherwise."""

from __future__ import annotations

import re
from typing import Final, NamedTuple


class Default(NamedTuple):
    """Thresholds in ``unit``; None: the rule has no such severity."""

    warning: float | None
    critical: float | None
    unit: str


DEFAULTS: Final[dict[str, Default]] = {
    "HighErrorRate": Default(1, 5, "%"),
    "HighResponseTime": Default(1, None, "s"),
    "VeryHighResponseTime": Default(None, 2, "s"),
    "SlowMeanResponse": Default(1000, 2000, "ms"),
    "SlowDatabaseQueries": Default(100, None, "ms"),
    "SlowMeanQuery": Default(500, None, "ms"),
    "DatabaseConnectionErrors": Default(None, 1, "errors"),
    "DatabaseConnectionsExhausted": Default(80, 95, "%"),
    "HighQueryCount": Default(50, None, "queries"),
    "LowCacheHitRate": Default(50, None, "%"),
    "HighCpu": Default(80, 90, "%"),
    "HighMemory": Default(85, 95, "%"),
    "DiskFull": Default(90, 95, "%"),
    "DiskFullSoon": Default(24, 4, "hours"),
    "JobFailureRate": Default(5, 20, "%"),
    "QueueBacklog": Default(1, 10, "times the capacity"),
    "QueueGrowing": Default(0, None, "tasks"),
    "QueueWait": Default(60, 600, "s"),
    "NoWorkers": Default(None, 0, "workers"),
    "StuckTask": Default(None, 1, "tasks"),
    "BeatMissedRun": Default(1, 3, "runs"),
    "HealthCheckFailing": Default(0.5, 0.5, "status"),
    "HealthScoreLow": Default(80, 50, "points"),
    "NewErrorGroup": Default(1, None, "groups"),
    "ErrorRegression": Default(1, None, "groups"),
    "SloBurnFast": Default(None, 14.4, "times"),
    "SloBurnSlow": Default(None, 6, "times"),
    "SloBurnTicket": Default(1, None, "times"),
    "TelemetryDropped": Default(1, None, "records"),
    "CollectorUnreachable": Default(0.5, 0.5, "status"),
    "MonitoringStale": Default(None, 0.5, "status"),
    "TargetDown": Default(None, 1, "up"),
}
"""Rule → thresholds."""


def alert_thresholds() -> dict[str, float]:
    """``HighCpu_warning`` and the like → default."""
    return {
        f"{name}_{severity}": value
        for name, default in DEFAULTS.items()
        for severity, value in (("warning", default.warning), ("critical", default.critical))
        if value is not None
    }


def words(name: str) -> str:
    """``HIGH_ERROR_RATE`` of ``HighErrorRate``, as variables are written."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper()
