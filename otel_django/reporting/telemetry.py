"""The sections that come from telemetry: what the pages show, as far as it fits into a report."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from django.http import HttpRequest, QueryDict

from otel_django.reporting import times
from otel_django.reporting.document import Column, Section
from otel_django.viewer import units
from otel_django.viewer.filters import change
from otel_django.viewer.pages.database import database
from otel_django.viewer.pages.endpoints import ENOUGH, endpoints
from otel_django.viewer.pages.errors import errors
from otel_django.viewer.pages.overview import overview
from otel_django.viewer.pages.tasks import tasks
from otel_django.viewer.visit import Visit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otel_django.conf import Settings
    from otel_django.roll_ups import Moment, Timeline
    from otel_django.viewer.ranges import TimeRange
    from otel_django.viewer.readers import Readers

MOST_ROWS: Final = 10
MUCH: Final = 0.01
MINUTE_NS: Final = 60 * 10**9
PARTS: Final = 7
_MEASURED: Final = (
    Column("p50_ns", "p50", units.duration, roomy=True),
    Column("p95_ns", "p95", units.duration),
)


class Pages:
    """The pages that a visitor would see of a range, by their contents."""

    def __init__(
        self,
        settings: Settings,
        when: TimeRange,
        service: str,
        now_ns: int,
        found: Readers | None,
    ) -> None:
        self.settings = settings
        self._parameters = {**when.parameters(), "service": service}
        self._now_ns = now_ns
        self._found = found

    def visit(self, name: str, **parameters: str) -> Visit:
        """As if somebody had asked for a page."""
        request = HttpRequest()
        request.method = "GET"
        request.GET = QueryDict(urlencode({**self._parameters, **parameters}))
        base = self.settings.alerts_site_url
        return Visit(request, self.settings, name, base, self._now_ns, self._found)

    def section(self, page: Callable[..., Any], visit: Visit) -> Mapping[str, Any]:
        """What a page shows, without its frame."""
        shown: Mapping[str, Any] = inspect.unwrap(page)(visit)
        return shown

    def address(self, visit: Visit, **parameters: str) -> str:
        """Of the page, where the site says where its pages are; else empty."""
        return visit.url(visit.page, **parameters) if self.settings.alerts_site_url else ""


# --- requests


def requests(pages: Pages) -> Section:
    """How many, how many failed, how long they took; and the range before."""
    visit = pages.visit("overview")
    when = visit.range
    timeline = _timeline(visit, when)
    now, before = timeline.total, _before(visit, when.before())
    rows = [_period("this range", now)]
    notes = [timeline.partial] if timeline.partial else []
    if before is None:
        length = times.length(when.length_ns)
        notes.append(f"Requests of the time before ({length}) aren't known from its beginning on.")
    else:
        rows.append(_period("before", before))
    return Section(
        "requests",
        "Requests",
        _requests_answer(now, before),
        (
            Column("period", "", text=True),
            Column("requests", "Requests", units.count),
            Column("failed", "Failed", units.count, roomy=True),
            Column("failed_share", "Share", units.share),
            *_MEASURED,
            Column("p99_ns", "p99", units.duration, roomy=True),
        ),
        tuple(rows),
        tuple(notes),
        bool(now.count) and now.errors / now.count >= MUCH,
        pages.address(visit),
    )


def _timeline(visit: Visit, when: TimeRange) -> Timeline:
    step_ns = max(MINUTE_NS, when.length_ns // PARTS)
    return visit.readers.timeline.requests(
        when.since_ns, when.until_ns, step_ns, visit.service, kind="requests"
    )


def _before(visit: Visit, when: TimeRange) -> Moment | None:
    """None where nothing is known of its beginning: there would be little to compare with."""
    since_ns = visit.readers.kept.since_ns()
    if since_ns is not None and since_ns > when.since_ns:
        return None
    found = _timeline(visit, when)
    begins = any(moment.count for moment in found.moments[:2])
    return found.total if begins and not found.partial else None


def _period(name: str, total: Moment) -> dict[str, Any]:
    return {
        "period": name,
        "requests": total.count,
        "failed": total.errors,
        "failed_share": total.errors / total.count if total.count else None,
        "p50_ns": total.p50_ns,
        "p95_ns": total.p95_ns,
        "p99_ns": total.p99_ns,
    }


def _requests_answer(now: Moment, before: Moment | None) -> str:
    if not now.count:
        return "No requests were recorded."
    answer = f"{units.count(now.count)} requests"
    if before is not None:
        more = change(now.count / before.count - 1)
        answer += " (as many as before)" if more == "same" else f" ({more} against before)"
    answer += f", {units.share(now.errors / now.count)} failed"
    return answer + (f", p95 {units.duration(now.p95_ns)}." if now.p95_ns else ".")


def slowest(pages: Pages) -> Section:
    """Endpoints by their 95th percentile; those that were called often enough first."""
    visit = pages.visit("endpoints", kind="requests", sort="p95_ns")
    shown = pages.section(endpoints, visit)
    rows = [row for row, *_ in shown["rows"]]
    often = [row for row in rows if row.count >= ENOUGH] or rows
    first = often[0] if often else None
    return Section(
        "slowest_endpoints",
        "Slowest endpoints",
        f"{first.name}: 95 of 100 took no longer than {units.duration(first.p95_ns)}."
        if first
        else "No requests were recorded.",
        (
            Column("endpoint", "Endpoint", text=True),
            Column("calls", "Calls", units.count),
            Column("failed_share", "Failed", units.share, roomy=True),
            *_MEASURED,
            Column("p95_change", "Change", change),
        ),
        tuple(
            {
                "endpoint": row.name,
                "service": row.service,
                "calls": row.count,
                "failed_share": row.error_share,
                "p50_ns": row.p50_ns,
                "p95_ns": row.p95_ns,
                "p95_change": row.change,
                "is_new": row.is_new,
            }
            for row in often[:MOST_ROWS]
        ),
        (*visit.parts.notes, *_left_out(len(often), "endpoints")),
        page=pages.address(visit),
    )


# --- what broke


def frequent_errors(pages: Pages) -> Section:
    """Kinds of exceptions that nobody has resolved or ignored, the most frequent first."""
    visit = pages.visit("errors", sort="count")
    shown = pages.section(errors, visit)
    rows = shown["rows"]
    return Section(
        "errors",
        "Errors",
        f"{_many(len(rows), 'kind')}, {_many(shown['times'], 'time')}; "
        f"{shown['new']} new, {shown['back']} came back."
        if rows
        else "No errors that are open.",
        (
            Column("error", "Error", text=True),
            Column("where", "Where", text=True, roomy=True),
            Column("times", "Times", units.count),
            Column("state", "", text=True),
        ),
        tuple(
            {
                "error": f"{row.group.type}: {row.group.message}",
                "where": row.group.where or row.group.place,
                "place": row.group.place,
                "service": row.group.service,
                "times": row.count,
                "state": "came back" if row.state == "back" else row.new,
                "fingerprint": row.group.fingerprint,
            }
            for row in rows[:MOST_ROWS]
        ),
        _notes(visit, shown["partial"], shown["states_away"], *_left_out(len(rows), "kinds")),
        bool(shown["new"] or shown["back"]),
        pages.address(visit),
    )


def failing_tasks(pages: Pages) -> Section:
    """Tasks, those that failed most first."""
    visit = pages.visit("tasks", sort="failures")
    shown = pages.section(tasks, visit)
    rows = shown["rows"]
    missed = shown["missed_count"]
    answer = f"{units.count(shown['runs'])} runs, {units.count(shown['failures'])} failed"
    return Section(
        "tasks",
        "Tasks",
        f"{answer}{f', {missed} runs of beat missed' if missed else ''}."
        if rows
        else "No tasks ran.",
        (
            Column("task", "Task", text=True),
            Column("runs", "Runs", units.count),
            Column("failed", "Failed", units.count),
            Column("retried", "Retried", units.count, roomy=True),
            Column("wait_p95_ns", "Wait p95", units.duration),
            Column("p95_ns", "Run p95", units.duration, roomy=True),
        ),
        tuple(
            {
                "task": row.name,
                "runs": row.runs,
                "failed": row.failures,
                "retried": row.retries,
                "wait_p95_ns": row.wait_p95_ns,
                "p95_ns": row.p95_ns,
            }
            for row in rows[:MOST_ROWS]
        ),
        _notes(visit, shown["partial"], *_left_out(shown["matching"], "tasks")),
        shown["failures"] > 0 or missed > 0,
        pages.address(visit),
    )


# --- database


def statements(pages: Pages) -> Section:
    """Statements by the time of all their runs."""
    visit = pages.visit("database")
    shown = pages.section(database, visit)
    rows = shown["rows"]
    return Section(
        "statements",
        "Database",
        f"{units.count(shown['runs'])} runs took {units.duration(shown['duration_ns'])}."
        if rows
        else "No statements were recorded.",
        (
            Column("statement", "Statement", text=True),
            Column("runs", "Runs", units.count),
            Column("p95_ns", "p95", units.duration, roomy=True),
            Column("total_ns", "Time", units.duration),
            Column("share", "Share", units.share),
        ),
        tuple(
            {
                "statement": row.brief,
                "service": row.service,
                "runs": row.count,
                "p95_ns": row.p95_ns,
                "total_ns": row.duration_ns,
                "share": row.share,
            }
            for row in rows[:MOST_ROWS]
        ),
        (*visit.parts.notes, *_left_out(shown["matching"], "statements")),
        page=pages.address(visit),
    )


def repeated(pages: Pages) -> Section:
    """Statements that single requests ran over and over."""
    visit = pages.visit("database")
    shown = pages.section(database, visit)
    rows = shown["repeated"]
    return Section(
        "n_plus_one",
        "Repeated statements (N+1)",
        f"{_many(shown['repeated_count'], 'statement')} ran over and over in one request or task."
        if rows
        else "No statement ran over and over in one request or task.",
        (
            Column("statement", "Statement", text=True),
            Column("route", "Route", text=True, roomy=True),
            Column("place", "Line", text=True),
            Column("queries", "Runs", units.count, roomy=True),
            Column("total_ns", "Time", units.duration),
        ),
        tuple(
            {
                "statement": row["brief"],
                "route": row["route"],
                "place": row["place"],
                "times": row["times"],
                "queries": row["queries"],
                "total_ns": row["duration_ns"],
            }
            for row in rows[:MOST_ROWS]
        ),
        _notes(visit, shown["partial"], *_left_out(shown["repeated_count"], "statements")),
        page=pages.address(visit),
    )


# --- the site's own metrics, and telemetry's own state


def own_metrics(pages: Pages) -> Section:
    """What the site's code counts and measures."""
    visit = pages.visit("overview")
    rows = pages.section(overview, visit)["own"]
    return Section(
        "own_metrics",
        "Your own metrics",
        f"{len(rows)} of the site's own metrics." if rows else "The site's code makes no metrics.",
        (
            Column("metric", "Metric", text=True),
            Column("shown", "Value"),
            Column("words", "", text=True),
        ),
        tuple(
            {
                "metric": row.name,
                "value": row.value,
                "unit": row.unit,
                "words": row.words,
                "shown": units.measured(row.value, row.unit),
            }
            for row in rows
        ),
        tuple(visit.parts.notes),
        page=visit.url("metrics") if pages.settings.alerts_site_url else "",
    )


def lost_telemetry(pages: Pages) -> Section:
    """What telemetry itself lost, and what it cost."""
    visit = pages.visit("overview")
    shown = pages.section(overview, visit)
    rows = shown["lost"] or []
    cost = shown["overhead"]
    words = "" if cost is None else f" It took {units.share(cost)} of the processes' time."
    number = sum(row.number for row in rows)
    return Section(
        "telemetry",
        "Telemetry itself",
        (f"{units.count(round(number))} items were lost." if rows else "Nothing was lost.") + words,
        (
            Column("signal", "Signal", text=True),
            Column("cause", "Cause", text=True),
            Column("lost", "Lost", units.count),
        ),
        tuple(
            {"signal": row.signal, "cause": row.cause, "lost": round(row.number)} for row in rows
        ),
        tuple(visit.parts.notes),
        bool(rows),
        pages.address(visit),
    )


def _notes(visit: Visit, *more: str) -> tuple[str, ...]:
    return (*visit.parts.notes, *(note for note in more if note))


def _many(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _left_out(number: int, what: str) -> tuple[str, ...]:
    return (f"{number - MOST_ROWS:,} more {what}.",) if number > MOST_ROWS else ()
