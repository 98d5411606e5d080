"""One trace: where its time went, what failed, and what was logged meanwhile."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from django.http import HttpResponse, HttpResponseRedirect

from otel_django import names
from otel_django.cli import log_words, otlp_json
from otel_django.cli.inert_text import fit
from otel_django.contracts import LogQuery, TraceQuery
from otel_django.viewer.explain import Unexplained, is_explainable, objection, plan_of
from otel_django.viewer.page import Context, page
from otel_django.viewer.span_details import details
from otel_django.viewer.sql_layout import brief
from otel_django.viewer.templating import render
from otel_django.viewer.visit import Missing
from otel_django.viewer.waterfall import Waterfall
from otel_django.viewer.waterfall_drawing import for_script, lines, script_data, window_of
from otel_django.web.permissions import is_staff

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_django.contracts import LogRow, SpanRow, TraceDetail
    from otel_django.viewer.explain import Plan
    from otel_django.viewer.visit import Visit

WITHOUT_SCRIPT: Final = 500
"""Rows that are there without a script, too."""
MOST_LOGS: Final = 500
LISTED_LOGS: Final = 200
TELLING: Final = 0.2
"""The share of the duration from which on a repeated statement is the answer."""
WORDS: Final = {
    "code": "code",
    "database": "the database",
    "cache": "the cache",
    "template": "templates",
    "http": "calls to other hosts",
    "messaging": "messages sent",
}
LONGEST_NAME: Final = 200
_OUR_OWN: Final = frozenset({"same-origin", "none"})
"""What browsers say of links on our pages, and of addresses that were typed."""
ID_DIGITS: Final = 32


@page("trace", "Trace")
def trace(visit: Visit, trace_id: str) -> Context | HttpResponse:
    """The waterfall, with the details of one span beside it; ``format=otlp`` is the spans."""
    found = visit.readers.traces.get_trace(trace_id)
    if found is None:
        return _by_its_beginning(visit, trace_id)
    if visit.text("format") == "otlp":
        return _export(found)
    panel_only = visit.text("part") == "span"
    logs = () if panel_only else _logs(visit, trace_id)
    fall = Waterfall(found.spans, logs)
    asked = visit.text("span")
    span = fall.known.get(asked, fall.root)
    panel = {**details(visit, fall, span), **_plan(visit, span)}
    if panel_only:
        return HttpResponse(render("_span.html", {**panel, "visit": visit}))
    return {
        **panel,
        **_summary(fall),
        **_drawn(visit, fall),
        "trace_id": found.trace_id,
        "title": fall.root.name or "Trace",
        "chosen": asked in fall.known,
        "partial": found.partial,
        "logs": [_log_line(visit, row) for row in logs[:LISTED_LOGS]],
        "log_count": len(logs),
    }


def _by_its_beginning(visit: Visit, trace_id: str) -> HttpResponse:
    """To the trace whose id begins so, where there is one."""
    if len(trace_id) < ID_DIGITS:
        for each in visit.readers.traces.list_traces(TraceQuery(text=trace_id, limit=1)).traces:
            return HttpResponseRedirect(visit.url("trace", each.trace_id))
    raise Missing("No such trace is kept: it is too old, wasn't sampled, or hasn't arrived yet.")


def _export(found: TraceDetail) -> HttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="trace-{found.trace_id}.json"'}
    return HttpResponse(
        otlp_json.traces(found.spans), content_type="application/json", headers=headers
    )


def _logs(visit: Visit, trace_id: str) -> Sequence[LogRow]:
    """The trace's log records, oldest first; the page says which aren't here."""
    query = LogQuery(trace_id=trace_id, limit=MOST_LOGS)
    found = visit.parts.ask("its log records", lambda: visit.readers.logs.list_logs(query))
    if found is None:
        return ()
    visit.parts.say(found.partial)
    if found.cursor:
        visit.parts.say(f"only the last {MOST_LOGS:,} log records are drawn")
    return found.rows[::-1]


def _plan(visit: Visit, span: SpanRow) -> dict[str, Any]:
    """Plans are for staff of a site in DEBUG, of what they look at."""
    may = visit.settings.debug and is_staff(visit.request)
    plan: Plan | str = ""
    if visit.text("explain") == "1":
        if not may:
            plan = "Plans are for staff, logged in, while DEBUG is on."
        elif visit.request.META.get("HTTP_SEC_FETCH_SITE", "none") not in _OUR_OWN:
            plan = "Another site led here: ask for the plan by the link on this page."
        else:
            plan = _asked(span)
    return {"may_explain": may, "explainable": may and is_explainable(span), "plan": plan}


def _asked(span: SpanRow) -> Plan | str:
    try:
        return plan_of(span)
    except Unexplained as error:
        return str(error)


def _log_line(visit: Visit, row: LogRow) -> dict[str, Any]:
    level = log_words.level(row)
    tone = {"FATAL": "bad", "ERROR": "bad", "WARN": "warn"}.get(level, "quiet")
    words = log_words.label(row).removeprefix("•").strip().removeprefix(level).strip()
    address = visit.url("logs", at=row.key)
    return {"row": row, "level": level, "tone": tone, "words": words, "address": address}


def _summary(fall: Waterfall) -> dict[str, Any]:
    """The lines at the top."""
    root = fall.root
    queries = [span for span in fall.spans if names.DB_QUERY_TEXT in span.attributes]
    services = sorted({span.service for span in fall.spans})
    hosts = {str(span.resource.get(names.HOST_NAME, "")) for span in fall.spans} - {""}
    until_ns = fall.start_ns + fall.length_ns
    whole = max(root.duration_ns, 1)
    return {
        "root": root,
        "status": root.attributes.get(names.HTTP_RESPONSE_STATUS_CODE),
        "path": root.attributes.get(names.URL_PATH),
        "route": root.attributes.get(names.HTTP_ROUTE),
        "rootless": not root.local_root and root.parent_id is not None,
        "called": root.local_root and root.parent_id is not None,
        "name": fit(root.name, LONGEST_NAME),
        "whole_ns": until_ns - root.start_ns,
        "longer": until_ns - root.start_ns > root.duration_ns * 1.01,
        "errors": sum(span.status == "error" for span in fall.spans),
        "span_count": len(fall.spans),
        "services": services,
        "hosts": sorted(hosts),
        "query_count": len(queries),
        "query_ns": sum(span.duration_ns for span in queries),
        "spent": _spent(fall),
        "most": _most(fall),
        "repeats": [
            {
                "repeat": repeat,
                "brief": brief(repeat.statement) or repeat.summary,
                "ratio": repeat.duration_ns / whole,
                "selects": not objection(repeat.statement),
                "first": repeat.span_ids[0] if repeat.span_ids else "",
            }
            for repeat in fall.repeats
        ],
    }


def _most(fall: Waterfall) -> dict[str, Any] | None:
    """What most of the time went into: one statement's repeats, or one kind of work."""
    whole = max(fall.root.duration_ns, 1)
    for repeat in fall.repeats[:1]:
        ratio = repeat.duration_ns / whole
        if TELLING <= ratio <= 1:
            words = f"{repeat.count:,} repeats of one query"
            return {"ratio": ratio, "words": words, "place": repeat.place}
    for hue, ns in fall.spent()[:1]:
        return {"ratio": ns / whole, "words": WORDS[hue], "place": ""}
    return None


def _spent(fall: Waterfall) -> list[dict[str, Any]]:
    """What the root's duration was spent in, as parts of one bar."""
    parts = []
    whole, done = max(fall.root.duration_ns, 1), 0
    for hue, ns in fall.spent():
        x, width = f"{100 * done / whole:.2f}", f"{100 * ns / whole:.2f}"
        parts.append({"hue": hue, "ns": ns, "ratio": ns / whole, "x": x, "width": width})
        done += ns
    return parts


def _drawn(visit: Visit, fall: Waterfall) -> dict[str, Any]:
    asked = visit.text("open", 40)
    opened = {
        span_id
        for repeat in fall.repeats
        if asked in repeat.span_ids
        for span_id in repeat.span_ids
    } | {asked}
    zoomed = fall.known.get(visit.text("zoom"))
    window = window_of(fall, zoomed.span_id if zoomed else "")
    shown = list(islice(lines(fall, window, opened), WITHOUT_SCRIPT + 1))
    return {
        "lines": shown[:WITHOUT_SCRIPT],
        "more_lines": len(shown) > WITHOUT_SCRIPT,
        "ticks": [(25 * number, number * window.length_ns // 4) for number in range(4)],
        "before_ns": window.start_ns - fall.start_ns,
        "rows": for_script(script_data(fall, window, opened)),
        "zoomed": zoomed,
    }
