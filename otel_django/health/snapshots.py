"""Health as it was: rows of ``HealthMetric`` for each check, the score and the host.

    check.NAME    value 1, 0.5 or 0, and what the check told
    score         value 0 to 100
    host.cpu      host.memory, host.disk (the fullest): value is the share in use
    host.load     value is the load average of a minute
    PART.FIGURE   the dashboard's figures (site.p95, celery.waiting), in their units

Rows are kept for METRICS_RETENTION_HOURS, then one of each hour is, for ``TRENDS_DAYS``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings as site
from django.db import transaction
from django.utils import timezone

from otel_django import metric_definitions as metrics
from otel_django.health.report_json import check_document
from otel_django.health.results import VALUES, WORDS, score
from otel_django.instrumentation.host_metrics import HostSystemMetrics
from otel_django.models import HealthMetric

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from otel_django.health.engine import Engine
    from otel_django.health.results import Report, State
    from otel_django.instrumentation.process_metrics import Seen

WITHIN_S: Final = 5.0
"""How long a snapshot waits for checks; of those that aren't back the last finding counts."""
TRENDS_DAYS: Final = 90
_HOUR: Final = timedelta(hours=1)
_CHUNK: Final = 500
_host: Final = HostSystemMetrics()
_NO_FIGURES: Final[Mapping[str, tuple[float, State]]] = {}


def take_snapshot(
    engine: Engine,
    now: datetime,
    figures: Mapping[str, tuple[float, State]] = _NO_FIGURES,
    *,
    database: str = "default",
) -> int:
    """Look, and add a row for each finding and each of ``figures``; how many. ``now`` is aware.

    Raises:
        django.db.Error: the database, by its alias, can't be used.
    """
    at = _as_stored(now)
    report = engine.report("all", within_s=WITHIN_S)
    found = {name: ({"value": value}, WORDS[state]) for name, (value, state) in figures.items()}
    for name, value, status in (*_of_checks(report), *_of_host(report, _host.look())):
        found[name] = value, status
    rows = [
        HealthMetric(metric_name=name, metric_value=value, status=status, timestamp=at)
        for name, (value, status) in found.items()
    ]
    HealthMetric._base_manager.using(database).bulk_create(rows)
    return len(rows)


_Figure = tuple[str, dict[str, Any], str]


def _of_checks(report: Report) -> Iterator[_Figure]:
    for check in report.checks:
        if check.status != "pending":
            told = check_document(check)
            del told["status"]
            value = {"value": VALUES[check.status], **told}
            yield f"check.{check.name}", value, WORDS[check.status]
    points = score(report.checks)
    if points is not None:
        yield "score", {"value": round(points, 1)}, WORDS[report.status]


def _of_host(report: Report, seen: Seen) -> Iterator[_Figure]:
    """What the check of the same name says of it is its status."""
    words = {check.name: WORDS.get(check.status, "healthy") for check in report.checks}
    for name, value in _host_values(seen):
        yield f"host.{name}", {"value": round(value, 4)}, words.get(name, "healthy")


def _host_values(seen: Seen) -> Iterator[tuple[str, float]]:
    cpu = seen.get(metrics.SYSTEM_CPU_UTILIZATION)
    if cpu:
        yield "cpu", 1 - cpu.get(("idle",), 0.0) - cpu.get(("iowait",), 0.0)
    total = seen[metrics.SYSTEM_MEMORY_LIMIT][()]
    available = seen.get(metrics.SYSTEM_MEMORY_LINUX_AVAILABLE)
    if available:
        yield "memory", 1 - available[()] / total
    else:
        yield "memory", seen[metrics.SYSTEM_MEMORY_UTILIZATION][("used",)]
    disks = seen[metrics.SYSTEM_FILESYSTEM_UTILIZATION]
    if disks:
        yield "disk", max(disks.values())
    load = seen.get(metrics.SYSTEM_CPU_LOAD_AVERAGE_1M)
    if load:
        yield "load", load[()]


# --- growing old


def tidy(now: datetime, keep_hours: float, *, database: str = "default") -> bool:
    """Put one hour that is older than ``keep_hours`` together, or drop what is too old for that.

    True if there may be more to do. Raises as ``take_snapshot``.
    """
    rows = HealthMetric._base_manager.using(database).all()
    before = _hour(_as_stored(now - timedelta(hours=keep_hours)))
    oldest = rows.filter(hourly=False, timestamp__lt=before).order_by("timestamp").first()
    if oldest is not None:
        _put_together(rows, _hour(oldest.timestamp), database)
        return True
    since = _as_stored(now - timedelta(days=TRENDS_DAYS))
    rows.filter(hourly=True, timestamp__lt=since).delete()
    return False


@dataclass
class _Hour:
    """One metric's hour."""

    values: list[float] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def as_row(self, name: str, at: datetime) -> HealthMetric:
        counts = {word: self.words.count(word) for word in _BY_BADNESS}
        value = {
            "value": round(sum(self.values) / len(self.values), 4),
            "min": min(self.values),
            "max": max(self.values),
            "samples": len(self.values),
            **counts,
        }
        worst = next(word for word in _BY_BADNESS if counts[word])
        return HealthMetric(
            metric_name=name, metric_value=value, status=worst, timestamp=at, hourly=True
        )


_BY_BADNESS: Final = ("critical", "warning", "healthy")


def _put_together(rows: QuerySet[HealthMetric], hour: datetime, database: str) -> None:
    """In one transaction; nothing where another process did so meanwhile."""
    ours = rows.filter(hourly=False, timestamp__gte=hour, timestamp__lt=hour + _HOUR)
    with transaction.atomic(using=database):
        count, hours = _summed(
            ours.values_list("metric_name", "metric_value", "status").iterator(_CHUNK)
        )
        deleted, _ = ours.delete()
        if deleted != count:
            transaction.set_rollback(True, using=database)
            return
        rows.bulk_create([each.as_row(name, hour) for name, each in hours.items()])


def _summed(found: Iterable[tuple[str, Any, str]]) -> tuple[int, dict[str, _Hour]]:
    hours: dict[str, _Hour] = {}
    count = 0
    for name, value, status in found:
        count += 1
        hour = hours.setdefault(name, _Hour())
        hour.values.append(value["value"])
        hour.words.append(status)
    return count, hours


def _as_stored(at: datetime) -> datetime:
    return at if site.USE_TZ else timezone.make_naive(at)


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
