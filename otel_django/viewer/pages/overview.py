"""The overview: is it well?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_django.contracts import TraceQuery
from otel_django.health import active
from otel_django.health.results import VALUES, score
from otel_django.metric_definitions import OTEL_DJANGO_DROPPED, OTEL_DJANGO_OVERHEAD_RATIO
from otel_django.names import OTEL_DJANGO_CAUSE, OTEL_DJANGO_SIGNAL
from otel_django.viewer import chart, endpoint, series, units
from otel_django.viewer.error_rows import error_rows
from otel_django.viewer.errors_state import StatesAwayError, decisions
from otel_django.viewer.live import anew
from otel_django.viewer.own_metrics import own_metrics
from otel_django.viewer.page import Context, page
from otel_django.viewer.ranges import TimeRange

if TYPE_CHECKING:
    from otel_django.contracts import OperationStats
    from otel_django.roll_ups import Moment, Timeline
    from otel_django.viewer.error_rows import ErrorRow
    from otel_django.viewer.parts import Parts
    from otel_django.viewer.visit import Visit

DAY_NS: Final = 86_400_000_000_000
MINUTE_NS: Final = 60_000_000_000
SLOWEST: Final = 6
MOST_DOTS: Final = 20
NEWEST: Final = 5
LOOKED_INTO: Final = 50
ENOUGH: Final = 20
"""Calls of the earlier range before its percentiles say anything."""
NOTABLE: Final = 1.2
MUCH: Final = 0.01
"""The share of failures that is marked."""


class Lost(NamedTuple):
    """Telemetry that was dropped."""

    signal: str
    cause: str
    number: float


@page("overview", "Overview")
def overview(visit: Visit) -> Context:
    """How the site is, in one line; what is slow, what broke, what is counted."""
    parts = visit.parts
    timeline, kind = _timeline(visit)
    metrics = parts.ask("metrics", visit.readers.metrics.list_metrics) or ()
    return {
        "live": anew(visit),
        **_answer(visit, timeline, kind, parts),
        **_charts(visit, timeline, kind, parts),
        **_health(),
        "slowest": parts.ask("endpoints", lambda: _slowest(visit)) or [],
        "errors": parts.ask("errors", lambda: _errors(visit)),
        "own": parts.ask("your own metrics", lambda: own_metrics(visit, metrics)) or [],
        "overhead": parts.ask("what telemetry costs", lambda: _overhead(visit)),
        "overhead_metric": OTEL_DJANGO_OVERHEAD_RATIO.name,
        "lost": parts.ask("what telemetry lost", lambda: _lost(visit)),
        "lost_metric": OTEL_DJANGO_DROPPED.name,
        "partial": timeline.partial,
    }


# --- the answer


def _timeline(visit: Visit) -> tuple[Timeline, str]:
    """Of requests; where there are none, of all that processes begin."""
    when = visit.range
    step_ns = max(when.step_ns, MINUTE_NS)
    ask = visit.readers.timeline.requests
    found = ask(when.since_ns, when.until_ns, step_ns, visit.service, kind="requests")
    if found.total.count:
        return found, "requests"
    return ask(when.since_ns, when.until_ns, step_ns, visit.service, kind="all"), "all"


def _answer(visit: Visit, timeline: Timeline, kind: str, parts: Parts) -> dict[str, Any]:
    total = timeline.total
    before = parts.ask("the time before", lambda: _before(visit, kind))
    failed = total.errors / total.count if total.count else None
    what = "requests" if kind == "requests" else "calls"
    number, _, time = units.rate(total.count / visit.counted.length_s).partition("/")
    return {
        "total": total,
        "what": what,
        "pace": f"{number} {what.removesuffix('s') if number == '1' else what}/{time}",
        "failed": failed,
        "fails_much": failed is not None and failed >= MUCH,
        "before": before,
        "before_words": "yesterday" if visit.range.length_ns <= DAY_NS else "the week before",
        "is_slower": before is not None and (total.p95_ns or 0) > NOTABLE * (before.p95_ns or 0),
    }


def _before(visit: Visit, kind: str) -> Moment | None:
    """The same time a day before, of a longer range the one before; None: too little was called."""
    when = visit.range
    earlier = when.before()
    if when.length_ns <= DAY_NS:
        earlier = TimeRange(when.since_ns - DAY_NS, when.until_ns - DAY_NS, "")
    found = visit.readers.timeline.requests(
        earlier.since_ns,
        earlier.until_ns,
        max(earlier.length_ns, MINUTE_NS),
        visit.service,
        kind="requests" if kind == "requests" else "all",
    ).total
    return found if found.count >= ENOUGH and found.p95_ns else None


def _charts(visit: Visit, timeline: Timeline, kind: str, parts: Parts) -> dict[str, Any]:
    came = chart.deployments_of(visit)
    dots = parts.ask("the slowest", lambda: _dots(visit, kind)) or []
    marks = chart.marks(came)
    times_s = [moment.start_ns / 1e9 for moment in timeline.moments]
    shares = [each.errors / each.count if each.count else None for each in timeline.moments]
    failed = chart.chart("1", times_s, [chart.Line("failed", shares, "error")], marks=marks)
    return {
        "rates": {**endpoint.rates(timeline, visit.counted.until_ns), "marks": marks},
        "failures": failed,
        "percentiles": {**endpoint.percentiles(timeline), "marks": marks, "dots": dots},
        "deployments": came,
        "moments": [moment for moment in timeline.moments[::-1] if moment.count],
        "step_s": timeline.step_ns / 1e9,
    }


def _dots(visit: Visit, kind: str) -> list[dict[str, Any]]:
    """The slowest requests, where they began."""
    found = visit.readers.traces.list_traces(
        TraceQuery(
            since_ns=visit.range.since_ns,
            until_ns=visit.range.until_ns,
            service=visit.service,
            limit=MOST_DOTS,
            slowest_first=True,
        )
    )
    wanted = (
        chart.Dot(trace.start_ns, trace.duration_ns / 1e9, trace.trace_id)
        for trace in found.traces
        if trace.method or kind != "requests"
    )
    return chart.dots(visit, wanted, "s")


# --- health


def _health() -> dict[str, Any]:
    """What the checks said last; none is asked."""
    checks = sorted(active.engine().last(), key=lambda check: VALUES.get(check.status, 1.0))
    return {
        "score": score(checks),
        "checks": checks,
        "ill": [check for check in checks if check.status != "healthy"],
    }


# --- what is slow, what broke


def _slowest(visit: Visit) -> list[OperationStats]:
    """Requests, which are named by their methods, by their 95th percentile."""
    found = visit.readers.traces.endpoints(visit.range.since_ns, visit.range.until_ns)
    requests = [
        each for each in found if each.name[:1].isupper() and visit.service in {None, each.service}
    ]
    return sorted(requests, key=lambda each: each.p95_ns, reverse=True)[:SLOWEST]


def _errors(visit: Visit) -> list[ErrorRow]:
    """Those that were seen last and that nobody has resolved or ignored."""
    when = visit.range
    found = visit.readers.errors.groups(when.since_ns, when.until_ns, visit.service, LOOKED_INTO)
    try:
        decided = decisions(visit.settings.database, [each.fingerprint for each in found.groups])
    except StatesAwayError:
        decided = {}  # the page of errors says so
    releases = chart.releases_of(visit, 0) if found.groups else ()
    rows = error_rows(found.groups, decided, releases, when)
    return [row for row in rows if row.state in {"open", "back"}][:NEWEST]


# --- what telemetry costs


def _overhead(visit: Visit) -> float | None:
    """Of the process kind that it costs most."""
    reading = series.read(
        visit.readers.metrics, OTEL_DJANGO_OVERHEAD_RATIO.name, visit.range, service=visit.service
    )
    levels = [value for value in reading.all.levels("max") if value is not None]
    return levels[-1] if levels else None


def _lost(visit: Visit) -> list[Lost]:
    reading = series.read(
        visit.readers.metrics,
        OTEL_DJANGO_DROPPED.name,
        visit.range,
        by=(OTEL_DJANGO_SIGNAL, OTEL_DJANGO_CAUSE),
        service=visit.service,
    )
    counted = (
        Lost(signal, cause, group.total or 0.0) for (signal, cause), group in reading.groups.items()
    )
    return sorted((each for each in counted if each.number >= 1), key=lambda each: -each.number)
