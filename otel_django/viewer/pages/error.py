"""One kind of error: what it says, where it comes from, since when; and what is decided of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.http import HttpResponseRedirect

from otel_django import names
from otel_django.errors import ReadError
from otel_django.viewer.chart import Line, chart, deployments, marks, releases_of
from otel_django.viewer.error_rows import MINUTE_NS, counts, error_rows
from otel_django.viewer.errors_state import (
    STATES,
    Decision,
    StatesAwayError,
    decide,
    decisions,
)
from otel_django.viewer.page import Context, page
from otel_django.viewer.search_terms import written
from otel_django.viewer.stacktrace import parts
from otel_django.viewer.visit import Missing
from otel_django.web import csrf
from otel_django.web.permissions import is_staff, user_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from django.http import HttpResponse

    from otel_django.contracts import LogRow
    from otel_django.roll_ups import ErrorDetail, ErrorGroup, Release
    from otel_django.viewer.visit import Visit

MOST_SAMPLES: Final = 10


def _change(visit: Visit, fingerprint: str) -> HttpResponse:
    """Resolve, ignore or open the group anew; then its page again."""
    state = next((each for each in STATES if each == visit.request.POST.get("state")), None)
    if state is None:
        raise Missing("A group of errors is open, resolved or ignored; nothing was changed.")
    group = _detail(visit, fingerprint).group
    decision = Decision(
        state,
        user_of(visit.request).get_username(),
        visit.now_ns,
        group.releases[-1] if group.releases else "",
    )
    try:
        decide(visit.settings.database, fingerprint, decision)
    except StatesAwayError as error:
        raise ReadError(f"Nothing was changed. {error}") from error
    return HttpResponseRedirect(visit.url("error", fingerprint))


@page("error", "Error", _change)
def error(visit: Visit, fingerprint: str) -> Context:
    """One group."""
    detail = _detail(visit, fingerprint)
    group, when = detail.group, visit.range
    releases = releases_of(visit, 0)
    trouble = ""
    try:
        decided = decisions(visit.settings.database, [fingerprint])
    except StatesAwayError as away:
        decided, trouble = {}, str(away)
    [row] = error_rows([group], decided, releases, when)
    may_change = is_staff(visit.request) and not trouble
    samples = visit.parts.ask("samples", lambda: list(_samples(visit, detail))) or []
    in_logs = {sample.row.trace_id for sample in samples}
    return {
        "title": f"{group.type}: {group.message}"[:200],
        "row": row,
        "group": group,
        "releases": ", ".join(group.releases),
        "where_address": visit.url("traces", q=written("route", group.where)),
        "failed_address": visit.url("traces", service=group.service, q=written("errors", "yes")),
        "stack": parts(detail.stacktrace),
        "stacktrace": detail.stacktrace,
        "samples": samples,
        "other_traces": [each for each in detail.trace_ids if each not in in_logs][:MOST_SAMPLES],
        "csrf_token": csrf.token(visit.request) if may_change else "",
        "states_away": trouble,
        **_course(visit, group, releases),
    }


def _detail(visit: Visit, fingerprint: str) -> ErrorDetail:
    """With what was counted in the range."""
    when = visit.range
    found = visit.readers.errors.group(fingerprint, when.since_ns, when.until_ns)
    if found is None:
        raise Missing("No such error is kept: it may have been too long ago.")
    return found


class Sample(NamedTuple):
    """A log record of the group, and what its exception said."""

    row: LogRow
    message: str


def _samples(visit: Visit, detail: ErrorDetail) -> Iterator[Sample]:
    for key in detail.log_keys[:MOST_SAMPLES]:
        for row in visit.readers.logs.logs_around(key, 0, 0).rows:
            said = row.attributes.get(names.EXCEPTION_MESSAGE)
            yield Sample(row, str(said or row.event))


def _course(visit: Visit, group: ErrorGroup, releases: Sequence[Release]) -> dict[str, Any]:
    """How often in each step of the range; the same as a chart and as a table."""
    when = visit.range
    step_ns = max(MINUTE_NS, when.step_ns)
    times = counts(group, when, step_ns)
    first_ns = when.since_ns // MINUTE_NS * MINUTE_NS
    starts = [first_ns + number * step_ns for number in range(len(times))]
    came = deployments((each for each in releases if each.service == group.service), when)
    drawn = chart(
        "", [start / 1e9 for start in starts], [Line("times", times, "error")], marks=marks(came)
    )
    drawn["series"][0]["bars"] = True
    return {
        "chart": drawn,
        "steps": [each for each in zip(starts, times, strict=True) if each[1]][::-1],
        "times": sum(times),
        "step_minutes": step_ns // MINUTE_NS,
    }
