"""How far the site kept its service level objectives, and what is left of their error budgets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from otel_django import metric_definitions as metrics
from otel_django import names
from otel_django.alerts import slo
from otel_django.alerts.muting import fits
from otel_django.reporting import times
from otel_django.reporting.document import Column, Section
from otel_django.viewer import series, units
from otel_django.viewer.course import Steps
from otel_django.viewer.ranges import TimeRange
from otel_django.viewer.series import Reading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from otel_django.reporting.telemetry import Pages
    from otel_django.viewer.visit import Visit

MOST_SERIES: Final = 5000
"""Failures are among the smallest series: none is left out."""
MOST_STEPS: Final = 200
MOST_BURNS: Final = 8
SLACK_NS: Final = 3600 * 10**9
_BY: Final = (names.SERVICE_NAME, names.HTTP_RESPONSE_STATUS_CODE)
_METRIC: Final = metrics.HTTP_SERVER_REQUEST_DURATION


@dataclass(slots=True)
class _Counts:
    """Of one service, step by step."""

    requests: list[float]
    failed: list[float]

    @property
    def share(self) -> float | None:
        whole = sum(self.requests)
        return sum(self.failed) / whole if whole else None


def service_levels(pages: Pages) -> Section:
    """Each service's availability.

    Raises:
        ReadError: measurements can't be read.
    """
    visit = pages.visit("traces")
    objective = slo.availability(visit.settings.slo_availability_percent / 100)
    when = visit.range
    parts = max(1, round(when.length_ns / when.step_of(MOST_BURNS)))
    step_ns = -(-when.length_ns // parts)
    read = _read(visit, when)
    counts = _counts(read, Steps(when.since_ns, step_ns, parts))
    budget_of = TimeRange(when.until_ns - objective.days * times.DAY_NS, when.until_ns, "")
    read_all = _read(visit, budget_of)
    spent = _counts(read_all, Steps(budget_of.since_ns, budget_of.length_ns, 1))
    rows = tuple(
        _row(service, objective, found, spent.get(service))
        for service, found in counts.items()
        if sum(found.requests) >= 1
    )
    return Section(
        "service_levels",
        "Availability and error budget",
        _answer(objective, rows),
        _columns(step_ns, objective.days),
        rows,
        tuple(_notes(objective, budget_of, read_all, read.partial or read_all.partial, rows)),
        any(row["availability"] < objective.target or row["budget_left"] < 0 for row in rows),
        pages.address(visit, q="status:5xx"),
    )


def _read(visit: Visit, when: TimeRange) -> Reading:
    return series.read(
        visit.readers.metrics,
        _METRIC.name,
        when,
        by=_BY,
        service=visit.service,
        most_steps=MOST_STEPS,
        most_series=MOST_SERIES,
    )


def _counts(read: Reading, steps: Steps) -> Mapping[str, _Counts]:
    """By service: all requests and those that count against the objective."""
    when = TimeRange(steps.start_ns, read.until_ns, "")
    found: dict[str, _Counts] = {}
    course = Reading(read.info, read.series, when, by=_BY, steps=steps)
    for (service, status), group in course.groups.items():
        one = found.setdefault(service, _Counts([0.0] * steps.count, [0.0] * steps.count))
        for number, count in enumerate(group.counts):
            one.requests[number] += count or 0.0
            if fits(slo.FAILED, status):
                one.failed[number] += count or 0.0
    return found


def _row(
    service: str, objective: slo.Objective, found: _Counts, of_days: _Counts | None
) -> dict[str, Any]:
    failed = found.share or 0.0
    over_days = failed if of_days is None or of_days.share is None else of_days.share
    return {
        "service": service,
        "objective": objective.name,
        "target": objective.target,
        "availability": 1 - failed,
        "requests": round(sum(found.requests)),
        "failed": round(sum(found.failed)),
        "burn_rate": slo.budget(objective, failed).spent,
        "budget_left": slo.budget(objective, over_days).remaining,
        "burn_rates": [
            slo.budget(objective, bad / whole).spent if whole else None
            for bad, whole in zip(found.failed, found.requests, strict=True)
        ],
    }


def _answer(objective: slo.Objective, rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "No requests were measured, so nothing is known of availability."
    worst = min(rows, key=lambda row: row["budget_left"])
    of = "" if len(rows) == 1 else f" of {worst['service']}"
    left = worst["budget_left"]
    words = (
        f"{units.share(left)} of the error budget is left"
        if left >= 0
        else f"{1 - left:.1f} times the error budget was spent"
    )
    return (
        f"{_precise(worst['availability'])} of the requests{of} went well, "
        f"{_precise(objective.target)} are promised; {words}."
    )


def _columns(step_ns: int, days: int) -> tuple[Column, ...]:
    return (
        Column("service", "Service", text=True),
        Column("availability", "Available", _precise),
        Column("target", "Promised", _precise, roomy=True),
        Column("requests", "Requests", units.count, roomy=True),
        Column("failed", "Failed", units.count),
        Column("budget_left", f"Budget left ({days} days)", _left),
        Column("burn_rate", "Burn rate", _times),
        Column("burn_rates", f"Each {times.length(step_ns)}", _course, roomy=True),
    )


def _precise(share: float) -> str:
    """Of what is nearly whole the nines count, and it is never rounded to all."""
    cut = int(share * 1e5 + 1e-6) / 1e3
    return f"{cut:.3f}".rstrip("0").rstrip(".") + " %"


def _left(share: float) -> str:
    return units.share(share) if share >= 0 else f"−{units.share(-share)}"


def _times(rate: float) -> str:
    return f"{rate:.1f}×" if rate >= 0.05 or rate == 0 else "< 0.1×"


def _course(rates: Sequence[float | None]) -> str:
    return " · ".join("–" if rate is None else f"{rate:.2g}" for rate in rates)


def _notes(
    objective: slo.Objective,
    when: TimeRange,
    read: Reading,
    partial: str,
    rows: Sequence[Mapping[str, Any]],
) -> list[str]:
    notes = [partial] if partial else []
    if rows:
        first_ns = min(read.course(one).begin_ns for one in read.series if one.points)
        if first_ns > when.since_ns + SLACK_NS:
            known = times.length(when.until_ns - first_ns)
            notes.append(
                f"The budget is that of {objective.days} days, but requests are known of the last "
                f"{known} only: what was spent before that isn't in it."
            )
        notes.append(
            "A burn rate of 1 spends exactly the whole budget, 10 spends it in a tenth of the time."
        )
    return notes
