"""The metrics that a site's own code makes, each as one figure and its course."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from otel_django.viewer import chart, series
from otel_django.viewer.exploring import is_distribution
from otel_django.viewer.metric_list import is_own

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_django.contracts import MetricInfo
    from otel_django.viewer.series import Reading, Values
    from otel_django.viewer.visit import Visit

MOST: Final = 8
COURSE_STEPS: Final = 30
MOST_SERIES: Final = 100
"""Of each metric; its page has more."""


class OwnMetric(NamedTuple):
    """``words`` say what ``value`` is: of a counter how much came, of a histogram its p95.

    "in part": something is missing, and the metric's own page says what.
    """

    name: str
    value: float
    unit: str
    words: str
    course: list[str]


def own_metrics(visit: Visit, found: Iterable[MetricInfo]) -> list[OwnMetric]:
    """The first few by name of which anything is known in the range."""
    shown = []
    for info in (each for each in found if is_own(each.name)):
        reading = series.read(
            visit.readers.metrics,
            info.name,
            visit.range,
            service=visit.service,
            most_steps=COURSE_STEPS,
            most_series=MOST_SERIES,
        )
        one = _told(info, reading)
        if one is not None:
            shown.append(one)
        if len(shown) == MOST:
            break
    return shown


def _told(info: MetricInfo, reading: Reading) -> OwnMetric | None:
    group = reading.all
    course: Values
    if is_distribution(info):
        value = group.spread.quantiles(0.95)[0] if group.spread.count else None
        course, words = group.quantiles(0.95)[0], "p95"
    elif info.kind == "counter":
        value, course, words = group.total, group.counts, "in the range"
    else:
        course = group.levels("mean" if info.kind == "gauge" else "sum")
        value, words = next((each for each in course[::-1] if each is not None), None), "now"
    if value is None:
        return None
    if reading.partial:
        words += ", in part"
    return OwnMetric(info.name, value, info.unit, words, chart.spark(course))
