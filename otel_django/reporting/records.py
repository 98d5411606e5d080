"""The sections that come from the site's database: alerts, and how healthy the site was."""

from __future__ import annotations

import statistics
from collections import defaultdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings as site
from django.db.models import Count, Q

from otel_django import names
from otel_django.alerts.keeping.archive import HISTORY_DAYS
from otel_django.reporting import times
from otel_django.reporting.document import Column, Section
from otel_django.viewer import units
from otel_django.web.alert_records import labels_of, tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from otel_django.models import SystemAlert
    from otel_django.reporting.telemetry import Pages
    from otel_django.viewer.ranges import TimeRange

MOST_ALERTS: Final = 20_000
MOST_HOURS: Final = 100_000
WELL: Final = 0.999
_MS: Final = 1_000_000
_WORDS: Final = ("healthy", "warning", "critical")


# --- alerts


def alerts(pages: Pages) -> Section:
    """What fired, for how long, and how soon somebody took care of it.

    Raises:
        ReadError: the tables can't be used.
    """
    visit = pages.visit("alerts")
    when = visit.range
    groups: dict[tuple[str, str], list[SystemAlert]] = defaultdict(list)
    for alert in _fired(when, pages.settings.database):
        if visit.service in {None, labels_of(alert).get(names.SERVICE_NAME, visit.service)}:
            groups[alert.alert_type, alert.severity].append(alert)
    rows = sorted(
        (_alert_row(*key, found, when) for key, found in groups.items()),
        key=lambda row: (row["severity"] != "critical", -row["firing_s"]),
    )
    return Section(
        "alerts",
        "Alerts",
        _alerts_answer(rows),
        (
            Column("rule", "Rule", text=True),
            Column("severity", "", text=True),
            Column("alerts", "Alerts", units.count),
            Column("firing_s", "Firing", _seconds),
            Column("acknowledged", "Acknowledged", units.count, roomy=True),
            Column("acknowledged_after_s", "After (median)", _seconds, roomy=True),
        ),
        tuple(rows),
        tuple(_alert_notes(when, visit.now_ns)),
        any(row["severity"] == "critical" for row in rows),
        pages.address(visit),
    )


def _fired(when: TimeRange, database: str) -> list[SystemAlert]:
    """Those that were firing at any time of the range."""
    since_ms, until_ms = when.since_ns // _MS, when.until_ns // _MS
    with tables(database):
        from otel_django.models import SystemAlert

        over = Q(resolved_ms__isnull=True) | Q(resolved_ms__gte=since_ms)
        rows = SystemAlert._base_manager.using(database).filter(over, fired_ms__lt=until_ms)
        return list(rows.order_by("-fired_ms", "-id")[:MOST_ALERTS])


def _alert_row(
    rule: str, severity: str, found: Sequence[SystemAlert], when: TimeRange
) -> dict[str, Any]:
    waits = [
        (each.acknowledged_ms - each.fired_ms) / 1000
        for each in found
        if each.acknowledged_ms is not None and each.fired_ms is not None
    ]
    return {
        "rule": rule,
        "severity": severity,
        "alerts": len(found),
        "firing_now": sum(not each.resolved for each in found),
        "firing_s": sum(_firing_s(each, when) for each in found),
        "acknowledged": len(waits),
        "acknowledged_after_s": max(0.0, statistics.median(waits)) if waits else None,
    }


def _firing_s(alert: SystemAlert, when: TimeRange) -> float:
    """Within the range."""
    since_ms, until_ms = when.since_ns // _MS, when.until_ns // _MS
    began_ms = max(alert.fired_ms or since_ms, since_ms)
    ended_ms = min(until_ms if alert.resolved_ms is None else alert.resolved_ms, until_ms)
    return max(0, ended_ms - began_ms) / 1000


def _alerts_answer(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "No alert fired."
    number = sum(row["alerts"] for row in rows)
    critical = sum(row["alerts"] for row in rows if row["severity"] == "critical")
    now = sum(row["firing_now"] for row in rows)
    still = f"; {now} still {'fires' if now == 1 else 'fire'}" if now else ""
    return f"{number} alert{'s' if number > 1 else ''}, {critical} of them critical{still}."


def _alert_notes(when: TimeRange, now_ns: int) -> Iterable[str]:
    if when.since_ns < now_ns - HISTORY_DAYS * times.DAY_NS:
        yield (
            f"Alerts that ended more than {HISTORY_DAYS} days ago may be in the archive, "
            "and are not counted."
        )


def _seconds(seconds: float) -> str:
    return units.duration(seconds * 1e9)


# --- health


def health(pages: Pages) -> Section:
    """For which share of the time each check was healthy.

    Raises:
        ReadError: the tables can't be used.
    """
    visit = pages.visit("health")
    when = visit.range
    counts = _counts(when, pages.settings.database)
    known_s = sum(counts.pop("score", {}).values()) * pages.settings.collection_interval_s
    whole_s = when.length_ns / 1e9
    rows = sorted(
        (_health_row(name.removeprefix("check."), found) for name, found in counts.items()),
        key=lambda row: (row["healthy_share"], row["check"]),
    )
    poor = [row for row in rows if row["healthy_share"] < 1]
    notes = []
    if rows and known_s < WELL * whole_s - pages.settings.collection_interval_s:
        share = units.share(min(1.0, known_s / whole_s))
        notes.append(f"Snapshots of health cover {share} of the range; shares are of those.")
    return Section(
        "health",
        "Health",
        _health_answer(rows, poor),
        (
            Column("check", "Check", text=True),
            Column("healthy_share", "Healthy", units.share),
            Column("warning_share", "Degraded", units.share),
            Column("critical_share", "Unhealthy", units.share),
        ),
        tuple(poor),
        tuple(notes),
        any(row["critical_share"] for row in rows),
        pages.address(visit),
    )


def _counts(when: TimeRange, database: str) -> dict[str, dict[str, int]]:
    """How many snapshots of each check and of the score had which status."""
    found: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_WORDS, 0))
    with tables(database):
        from otel_django.models import HealthMetric

        rows = HealthMetric._base_manager.using(database).filter(
            Q(metric_name__startswith="check.") | Q(metric_name="score"),
            timestamp__gte=_moment(when.since_ns),
            timestamp__lt=_moment(when.until_ns),
        )
        single = rows.filter(hourly=False).order_by().values_list("metric_name", "status")
        for name, status, number in single.annotate(number=Count("id")):
            found[name][status] = found[name].get(status, 0) + number
        hours = rows.filter(hourly=True).order_by().values_list("metric_name", "metric_value")
        for name, value in hours[:MOST_HOURS]:
            for word in _WORDS:
                found[name][word] += int(value.get(word, 0)) if isinstance(value, dict) else 0
    return {name: each for name, each in found.items() if sum(each.values())}


def _health_row(name: str, found: Mapping[str, int]) -> dict[str, Any]:
    whole = sum(found.values())
    shares = {f"{word}_share": found.get(word, 0) / whole for word in _WORDS}
    return {"check": name, "snapshots": whole, **shares}


def _health_answer(rows: Sequence[Mapping[str, Any]], poor: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "No snapshots of health: they are taken by `manage.py run_monitoring`."
    if not poor:
        return f"All {len(rows)} checks were healthy all the time."
    return f"{len(rows) - len(poor)} of {len(rows)} checks were healthy all the time."


def _moment(time_ns: int) -> datetime:
    at = datetime.fromtimestamp(time_ns / 1e9, timezone.utc)
    return at if site.USE_TZ else at.astimezone().replace(tzinfo=None)
