"""The metric explorer: what metrics there are, and one of them over time."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final

from django.http import HttpResponse

from otel_django import names
from otel_django.cli import csv_rows
from otel_django.viewer import chart, exploring, series, units
from otel_django.viewer.metric_list import KINDS, OWN, by_subject, matching
from otel_django.viewer.page import Context, page
from otel_django.viewer.search_terms import Term, split, written
from otel_django.viewer.visit import Missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otel_django.contracts import MetricInfo
    from otel_django.viewer.exploring import Row, View
    from otel_django.viewer.series import Group, Reading
    from otel_django.viewer.visit import Visit

EACH: Final = "*"
NOTHING: Final = "-"
_OWNERS: Final = frozenset({names.SERVICE_NAME, names.SERVICE_INSTANCE_ID})
LONGEST_NAME: Final = 300
LONGEST_LINK: Final = 300
MOST_EXAMPLES: Final = 8
LEVELS_TOLD: Final = 3
HEADLINE: Final = {
    "Rate": "rate",
    "p50": "p50",
    "p95": "p95",
    "p99": "p99",
    "In the range": "in all",
    "Mean rate": "mean rate",
    "Last": "last",
}
"""Title of a figure → how the headline says it."""


@page("metrics", "Metrics")
def metrics(visit: Visit) -> Context | HttpResponse:
    """The list of metrics; with ``?metric=`` one of them."""
    found = [
        each for each in visit.readers.metrics.list_metrics() if len(each.name) <= LONGEST_NAME
    ]
    name = visit.parameters.get("metric", "")[:LONGEST_NAME]
    if not name:
        return _listed(visit, found)
    info = next((each for each in found if each.name == name), None)
    if info is None:
        raise Missing(f"There is no metric called {name} here.")
    return _explored(visit, info, found)


def _listed(visit: Visit, found: Sequence[MetricInfo]) -> Context:
    text = visit.text("q")
    groups = by_subject(matching(found, text))
    return {
        "groups": groups,
        "kinds": KINDS,
        "text": text,
        "shown": sum(len(each) for _, each in groups),
        "total": len(found),
        "own": next((len(each) for title, each in groups if title == OWN), 0),
    }


def _explored(
    visit: Visit, info: MetricInfo, found: Sequence[MetricInfo]
) -> Context | HttpResponse:
    terms, notes = split(visit.text("q"))
    wanted = {term.key: term.value for term in terms if term.key and term.sign == ":"}
    notes += [f"{term}: an attribute with its value is wanted" for term in terms if not term.key]
    by = _by(visit, info)
    reading = series.read(
        visit.readers.metrics,
        info.name,
        visit.range,
        by=by,
        service=visit.service,
        attributes=wanted,
    )
    way = visit.chosen("how", *exploring.ways(info))
    view = exploring.view(reading, info, way)
    if visit.text("format") == "csv":
        return _csv(info, reading, view)
    examples = list(_examples(reading.all))
    return {
        "info": info,
        "kind": KINDS[info.kind],
        "names": [each.name for each in found],
        "ways": exploring.ways(info),
        "way": way,
        "choices": _choices(info),
        "chosen": ",".join(by) or NOTHING,
        "split_by": ", ".join(by),
        "chips": [_chip(visit, terms, term) for term in terms if term.key],
        "notes": notes,
        "view": view,
        "headline": _headline(reading, info, way, view),
        "shown": "p95" if by and way == "percentiles" else exploring.ways(info)[way],
        "rows": [
            (row, zip(view.titles, row.texts, strict=True), _links(visit, row, by))
            for row in view.rows
        ],
        "chart": _chart(visit, reading, view, examples, info, way),
        "counts": _counts(reading) if _has_counts(info, way, by) else None,
        "examples": sorted(examples, key=lambda dot: -dot.value)[:MOST_EXAMPLES],
        "moments": _told_moments(_moments(reading, view), view.unit),
        "known": any(value is not None for line in view.lines for value in line.points),
        "partial": reading.partial,
    }


# --- what was asked for


def _by(visit: Visit, info: MetricInfo) -> tuple[str, ...]:
    """By which attributes; of a gauge each series, where nothing is said."""
    asked = visit.text("by", 1000) or (EACH if info.kind == "gauge" else NOTHING)
    if asked == EACH:
        return info.attribute_keys
    if asked == NOTHING:
        return ()
    known = {*info.attribute_keys, *_OWNERS}
    return tuple(key for key in asked.split(",") if key in known)


def _choices(info: MetricInfo) -> list[tuple[str, str]]:
    """What can be split by, and what it is called."""
    every = ",".join(info.attribute_keys)
    each = [(every, "each series")] if len(info.attribute_keys) > 1 else []
    keys = [*info.attribute_keys, names.SERVICE_NAME, names.SERVICE_INSTANCE_ID]
    return [(NOTHING, "nothing"), *((key, key) for key in keys), *each]


def _chip(visit: Visit, terms: Sequence[Term], term: Term) -> tuple[str, str]:
    """A filter, and the address without it."""
    rest = " ".join(str(each) for each in terms if each is not term)
    return str(term), visit.here(q=rest)


def _links(visit: Visit, row: Row, by: Sequence[str]) -> dict[str, str]:
    """Only this row's series, and the traces of its route."""
    if row.key is None or len("".join(row.key)) > LONGEST_LINK:
        return {}
    named = {name: value for name, value in zip(by, row.key, strict=True) if value}
    attributes = {name: value for name, value in named.items() if name not in _OWNERS}
    terms = [visit.text("q"), *(written(name, value) for name, value in attributes.items())]
    links = {"only": visit.here(q=" ".join(filter(None, terms)), by=NOTHING)} if attributes else {}
    route = named.get(names.HTTP_ROUTE)
    if route:
        links["traces"] = visit.url("traces", q=written("route", route))
    return links


# --- what is shown


def _headline(
    reading: Reading, info: MetricInfo, way: str, view: View
) -> list[tuple[str, tuple[float | None, str]]]:
    """The figures of all series together that say most; levels aren't one figure once split."""
    if reading.by and info.kind in {"gauge", "up_down_counter"}:
        return [(row.label, row.figures[0]) for row in view.rows[:LEVELS_TOLD]]
    told = zip(exploring.titles(info), exploring.figures(reading.all, info, way), strict=True)
    return [(HEADLINE[title], figure) for title, figure in told if title in HEADLINE]


def _chart(
    visit: Visit,
    reading: Reading,
    view: View,
    examples: Sequence[chart.Dot],
    info: MetricInfo,
    way: str,
) -> dict[str, Any]:
    shows_values = exploring.is_distribution(info) and way != "rate"
    return chart.chart(
        view.unit,
        reading.steps.times_s,
        view.lines,
        dots=chart.dots(visit, examples, info.unit) if shows_values else (),
        marks=chart.marks(chart.deployments_of(visit)),
    )


def _has_counts(info: MetricInfo, way: str, by: Sequence[str]) -> bool:
    return exploring.is_distribution(info) and way != "rate" and not by


def _counts(reading: Reading) -> dict[str, Any]:
    """How many measurements the percentiles are of."""
    lines = [chart.Line("measurements", reading.all.rates, "quiet")]
    return chart.chart("{measurement}/s", reading.steps.times_s, lines)


def _examples(group: Group) -> Iterator[chart.Dot]:
    for exemplar in group.exemplars():
        yield chart.Dot(exemplar.time_ns, exemplar.value, format(exemplar.trace_id, "032x"))


def _moments(reading: Reading, view: View) -> list[tuple[int, list[float | None]]]:
    """The chart's figures as rows, newest first."""
    steps = reading.steps
    times = [steps.start_ns + number * steps.step_ns for number in range(steps.count)]
    columns = [line.points for line in view.lines]
    rows = [(time_ns, list(row)) for time_ns, *row in zip(times, *columns, strict=True)]
    return [row for row in rows[::-1] if any(value is not None for value in row[1])]


def _told_moments(
    moments: Sequence[tuple[int, list[float | None]]], unit: str
) -> list[tuple[int, list[str]]]:
    """The same in words."""
    texts = iter(units.alike([value for _, row in moments for value in row], unit))
    return [(time_ns, [next(texts) for _ in row]) for time_ns, row in moments]


def _csv(info: MetricInfo, reading: Reading, view: View) -> HttpResponse:
    """The lines of the chart: a row a step, a column a line."""
    target = io.StringIO()
    rows = csv.writer(target)
    rows.writerow(["time", *(csv_rows.text(f"{line.name} ({view.unit})") for line in view.lines)])
    for time_ns, values in reversed(_moments(reading, view)):
        rows.writerow([csv_rows.moment(time_ns), *("" if v is None else v for v in values)])
    name = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in info.name)
    return HttpResponse(
        target.getvalue(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name[:100]}.csv"'},
    )
