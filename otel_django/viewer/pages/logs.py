"""The log page: lines that match, the same live, one among those around it, and as a file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from django.http import HttpResponse

from otel_django.contracts import LogQuery
from otel_django.viewer import exports, log_tail, search
from otel_django.viewer.live import Live
from otel_django.viewer.log_facets import facets_of
from otel_django.viewer.log_lines import LEVELS, Line
from otel_django.viewer.page import Context, page
from otel_django.viewer.templating import render
from otel_django.viewer.visit import Missing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.http.response import HttpResponseBase

    from otel_django.contracts import LogRow
    from otel_django.roll_ups import LogSummary
    from otel_django.viewer.log_tail import Tail
    from otel_django.viewer.visit import Visit

PAGE: Final = 100
AROUND: Final = (20, 100, 500)
DAY_NS: Final = 86_400 * 10**9
SAME_PLACE: Final = 204
"""Nothing came: what is shown stays as it is."""


@page("logs", "Logs")
def logs(visit: Visit) -> Context | HttpResponseBase:
    """What was logged, newest first."""
    asked = _Asked(visit)
    if visit.text("line"):
        row = _rows_around(visit, visit.text("line"), 0)[0]
        return _part(visit, "_log_detail.html", {"line": Line(row, visit)})
    if visit.text("at"):
        return _around(visit, visit.text("at"))
    form = visit.text("format")
    if form in exports.LOG_FORMS:
        return exports.of_logs(visit, asked.in_range, form)
    if "after" in visit.parameters:
        return _news(visit, asked)
    if visit.live:
        found = log_tail.begin(visit.readers.logs, asked.query)
        return {**asked.context, **_tail_context(visit, found), "waiting": True}
    return {**asked.context, **_list(visit, asked)}


@dataclass(frozen=True)
class _Asked:
    """What the address asks for."""

    visit: Visit

    @cached_property
    def search(self) -> search.Search:
        return search.of_logs(self.visit.text("q"))

    @cached_property
    def query(self) -> LogQuery:
        visit = self.visit
        return self.search.log_query(LogQuery(service=visit.service, limit=PAGE))

    @property
    def in_range(self) -> LogQuery:
        when = self.visit.range
        # What is logged just now may have a clock a little ahead of this one.
        until_ns = None if when.key else when.until_ns
        return replace(self.query, since_ns=when.since_ns, until_ns=until_ns)

    @cached_property
    def summary(self) -> LogSummary | None:
        """None where they can't be counted: the lines are shown without it."""
        visit, when = self.visit, self.visit.range
        count = visit.readers.log_summary.summary
        return visit.parts.ask(
            "the chart, the choice of loggers",
            lambda: count(when.since_ns, when.until_ns, when.step_ns, self.query),
        )

    @property
    def _turn(self) -> str:
        """This page, live where it isn't, and the other way round."""
        return self.visit.here(live=None if self.visit.live else "1", cursor=None)

    @property
    def context(self) -> dict[str, Any]:
        """What the list and the live list have in common."""
        summary = self.summary
        return {
            "chips": self.search.chips,
            "mistakes": self.search.mistakes,
            "live": Live(self.visit.live, self._turn, ""),
            "searched": bool(self.search.conditions),
            "facets": () if summary is None else facets_of(self.visit, summary, self.query),
            "chart": None if summary is None else _chart(summary),
            "total": None if summary is None else sum(summary.levels.values()),
            "errors": _level_count(summary, "error") + _level_count(summary, "critical"),
            "warnings": _level_count(summary, "warning"),
            "note": "" if summary is None else summary.partial,
            "levels": () if summary is None else _levels(summary),
            "moments": () if summary is None else _moments(summary),
        }


def _list(visit: Visit, asked: _Asked) -> dict[str, Any]:
    query = replace(asked.in_range, cursor=visit.text("cursor") or None)
    found = visit.readers.logs.list_logs(query)
    return {
        **_lines(visit, found.rows),
        "of_days": visit.range.length_ns > DAY_NS,
        "failed": sum(row.severity_number >= LEVELS["error"] for row in found.rows),
        "partial": found.partial,
        "older": visit.here(cursor=found.cursor) if found.cursor else "",
    }


def _around(visit: Visit, key: str) -> Context:
    """One line among those of its service that came before and after it."""
    wanted = visit.chosen("around", *map(str, AROUND))
    key = _rows_around(visit, key, 0)[0].key
    rows = _rows_around(visit, key, int(wanted))
    more = next((number for number in AROUND if number > int(wanted)), None)
    lines = _lines(visit, rows, key)
    return {
        **lines,
        "around": next(line for line in lines["lines"] if line.is_it),
        "more": visit.here(around=more) if more else "",
        "more_count": more,
        "back": visit.here(at=None, around=None),
    }


def _rows_around(visit: Visit, key: str, count: int) -> tuple[LogRow, ...]:
    found = visit.readers.logs.logs_around(key, count, count)
    if not found.rows:
        raise Missing("This line is no longer kept.")
    return found.rows


def _lines(visit: Visit, rows: Iterable[LogRow], key: str = "") -> dict[str, Any]:
    return {
        "lines": [Line(row, visit, row.key == key) for row in rows],
        "several_services": visit.service is None and len(visit.readers.traces.services()) > 1,
    }


# --- live


def _news(visit: Visit, asked: _Asked) -> HttpResponse:
    cursor = visit.text("after")
    found = log_tail.go_on(visit.readers.logs, asked.query, cursor)
    if not found.rows and found.cursor == cursor:
        return HttpResponse(status=SAME_PLACE)
    return _part(visit, "_log_tail.html", _tail_context(visit, found))


def _tail_context(visit: Visit, found: Tail) -> dict[str, Any]:
    return {
        **_lines(visit, found.rows),
        "left_out": found.left_out,
        "poll": visit.here(after=found.cursor, cursor=None),
    }


def _part(visit: Visit, template: str, context: Context) -> HttpResponse:
    return HttpResponse(render(template, {**context, "visit": visit}))


# --- by number


def _level_count(summary: LogSummary | None, level: str) -> int:
    return 0 if summary is None else summary.levels.get(level, 0)


def _levels(summary: LogSummary) -> list[str]:
    """Those there are, the worst first."""
    return [level for level in LEVELS if summary.levels.get(level)]


def _moments(summary: LogSummary) -> list[tuple[int, list[int]]]:
    """The bars as figures, those that are: a time, and the numbers of each of ``_levels``."""
    return [
        (moment.start_ns, [moment.counts.get(level, 0) for level in _levels(summary)])
        for moment in reversed(summary.moments)
        if moment.counts
    ]


def _chart(summary: LogSummary) -> dict[str, Any]:
    """Bars of each level on one another, the worst at the bottom, in the middle of their time."""
    middle_ns = summary.step_ns // 2
    return {
        "unit": "{}",
        "stacked": True,
        "times": [(moment.start_ns + middle_ns) / 1e9 for moment in summary.moments],
        "series": [
            {
                "name": level,
                "colour": f"level-{level}",
                "bars": True,
                "points": [moment.counts.get(level, 0) for moment in summary.moments],
            }
            for level in reversed(_levels(summary))
        ],
    }
