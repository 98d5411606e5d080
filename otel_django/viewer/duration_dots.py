"""Traces as dots: when they began, and how long they took on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_django.viewer import units

if TYPE_CHECKING:
    from otel_django.contracts import TraceSummary

HEIGHT: Final = 96
MARGIN: Final = 8
LABEL: Final = 16
"""Pixels; lines nearer to one another have a label now and then."""
LEAST: Final = 3
"""Fewer traces than that say nothing as a picture."""


class Dot(NamedTuple):
    """``x`` in per cent from the left, ``y`` in pixels from the top."""

    trace: TraceSummary
    x: str
    y: str


class Line(NamedTuple):
    """A power of ten; ``label`` is empty where there is no room for it."""

    label: str
    y: str


def dots(traces: Sequence[TraceSummary]) -> dict[str, Any] | None:
    """What ``_dots.html`` draws; None where there are too few."""
    if len(traces) < LEAST:
        return None
    starts = [trace.start_ns for trace in traces]
    first, last = min(starts), max(starts)
    heights = [_height(trace.duration_ns) for trace in traces]
    low, high = math.floor(min(heights)), math.ceil(max(heights))
    high = max(high, low + 1)

    def y(height: float) -> str:
        return f"{MARGIN + (HEIGHT - 2 * MARGIN) * (high - height) / (high - low):.1f}"

    every = math.ceil((high - low) * LABEL / (HEIGHT - 2 * MARGIN))
    return {
        "dots": [
            Dot(trace, f"{1 + 98 * (trace.start_ns - first) / max(1, last - first):.2f}%", y(each))
            for trace, each in zip(traces, heights, strict=True)
        ],
        "lines": [
            Line(_label(power) if (high - power) % every == 0 else "", y(power))
            for power in range(low, high + 1)
        ],
        "first_ns": first,
        "last_ns": last,
        "height": HEIGHT,
    }


def _label(power: int) -> str:
    number, unit = units.duration(10.0**power).split()
    return f"{float(number):g} {unit}"


def _height(duration_ns: int) -> float:
    return math.log10(max(duration_ns, 1_000))
