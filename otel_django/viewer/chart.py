"""What ``charts.js`` draws, as plain values; and small lines that need no script."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_django.viewer import units

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otel_django.roll_ups import Release
    from otel_django.viewer.ranges import TimeRange
    from otel_django.viewer.visit import Visit

COLOURS: Final = ("code", "database", "http", "template", "cache", "messaging")
"""Names of the style sheet's colours. Those after them are dashed."""
DASHED: Final = (6, 4)
MOST_DOTS: Final = 40
MOST_MARKS: Final = 20
SPARK: Final = (100.0, 24.0)
"""The size of a small line, in units of its own."""


class Line(NamedTuple):
    """One line; ``colour`` is a name of the style sheet's, empty: the next one."""

    name: str
    points: Sequence[float | None]
    colour: str = ""


class Dot(NamedTuple):
    """Something measured in a trace, whose page it opens."""

    time_ns: int
    value: float
    trace_id: str


def chart(
    unit: str,
    times_s: Sequence[float],
    lines: Sequence[Line],
    *,
    dots: Sequence[dict[str, Any]] = (),
    marks: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """The lines over one time; ``unit`` is OpenTelemetry's, with ``/s`` behind it for rates.

    Rates are told by the minute or hour where they are that low.
    """
    lines = [line._replace(points=_finite(line.points)) for line in lines]
    if units.is_rate(unit):
        known = (value for line in lines for value in line.points if value is not None)
        length, sign = units.rate_scale(max(known, default=0.0))
        lines = [line._replace(points=_times(length, line.points)) for line in lines]
        unit = f"{unit.removesuffix('s')}{sign}"
    return {
        "unit": unit,
        "times": times_s,
        "series": [_series(line, number) for number, line in enumerate(lines)],
        "dots": dots,
        "marks": marks,
    }


def _finite(points: Sequence[float | None]) -> list[float | None]:
    """What isn't a number that JSON and SVG know is a gap."""
    return [value if value is not None and math.isfinite(value) else None for value in points]


def _times(factor: float, points: Sequence[float | None]) -> list[float | None]:
    return [None if value is None else value * factor for value in points]


def _series(line: Line, number: int) -> dict[str, Any]:
    series: dict[str, Any] = {
        "name": line.name,
        "points": line.points,
        "colour": line.colour or COLOURS[number % len(COLOURS)],
    }
    if not line.colour and number >= len(COLOURS):
        series["dash"] = DASHED
    return series


def dots(visit: Visit, found: Iterable[Dot], unit: str) -> list[dict[str, Any]]:
    """The largest of them, as links to their traces."""
    known = (dot for dot in found if math.isfinite(dot.value))
    chosen = sorted(known, key=lambda dot: dot.value, reverse=True)[:MOST_DOTS]
    return [
        {
            "time": dot.time_ns / 1e9,
            "value": dot.value,
            "address": visit.url("trace", dot.trace_id),
            "title": f"{units.measured(dot.value, unit)}: open its trace",
        }
        for dot in chosen
    ]


def deployments(releases: Iterable[Release], when: TimeRange) -> list[Release]:
    """Versions that came in the range, after another one of their service; newest first."""
    known: set[str] = set()
    came = []
    for each in sorted(releases, key=lambda release: release.first_ns):
        if each.service in known and when.since_ns <= each.first_ns <= when.until_ns:
            came.append(each)
        known.add(each.service)
    return came[::-1][:MOST_MARKS]


def releases_of(visit: Visit, since_ns: int) -> Sequence[Release]:
    """Those seen from then on until the end of the page's range; a page stands without them."""
    ask = visit.readers.releases.releases
    found = visit.parts.ask("releases", lambda: ask(since_ns, visit.range.until_ns))
    return found or ()


def deployments_of(visit: Visit) -> list[Release]:
    """Those of the page's range and service."""
    found = releases_of(visit, visit.range.since_ns)
    wanted = (each for each in found if visit.service in {None, each.service})
    return deployments(wanted, visit.range)


def marks(came: Iterable[Release]) -> list[dict[str, Any]]:
    """Deployments for a chart."""
    return [{"time": each.first_ns / 1e9, "name": each.version[:40]} for each in came]


def spark(values: Sequence[float | None]) -> list[str]:
    """The pieces of a small line, each the ``points`` of an SVG ``polyline``; gaps part them."""
    width, height = SPARK
    values = _finite(values)
    top = max((value for value in values if value is not None), default=0.0) or 1.0
    low = min(0.0, *(value for value in values if value is not None), 0.0)
    step = width / max(1, len(values) - 1)
    pieces: list[list[str]] = [[]]
    for number, value in enumerate(values):
        if value is None:
            pieces.append([])
        else:
            share = (value - low) / ((top - low) or 1.0)
            pieces[-1].append(f"{number * step:.1f},{height - 1 - share * (height - 2):.1f}")
    return [" ".join(piece) for piece in pieces if len(piece) > 1]
