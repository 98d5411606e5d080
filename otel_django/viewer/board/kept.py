"""What is kept of metrics, each read once however many figures are made of it."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from otel_django.viewer import series
from otel_django.viewer.board.measures import every
from otel_django.viewer.course import IDLE_NS, SECOND_NS, Steps
from otel_django.viewer.ranges import TimeRange
from otel_django.viewer.series import Reading

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_django.contracts import MetricReader, MetricSeries
    from otel_django.metric_points import MetricDefinition
    from otel_django.viewer.board.measures import Measure, Which
    from otel_django.viewer.series import Values

HOUR_NS: Final = 3600 * SECOND_NS
LOOK_BACK_NS: Final = HOUR_NS + 1200 * SECOND_NS
"""An hour ago, and what a figure needs before that."""
COURSE_STEPS: Final = 60


class Kept:
    """The metrics of one service (None: of all) as they were until ``now_ns``.

    What can't be read raises ReadError each time it is asked for; ``partial`` says what is missing
    of answers.
    """

    def __init__(self, reader: MetricReader, service: str | None, now_ns: int) -> None:
        self.now_ns = now_ns
        self.partial = ""
        self._reader = reader
        self._service = service
        self._read: dict[tuple[str, int, int], Reading] = {}
        self._chosen: dict[tuple[object, ...], Reading] = {}

    def now(self, measure: Measure) -> float | None:
        """The figure as it is."""
        return self._at(measure, self.now_ns)

    def hour_ago(self, measure: Measure) -> float | None:
        """The figure as it was."""
        return self._at(measure, self.now_ns - HOUR_NS)

    def last_hour(self, measure: Measure) -> Values:
        """A value for each minute."""
        when = TimeRange(self.now_ns - HOUR_NS, self.now_ns, "")
        return self.course(measure, when, self._recent(measure.metric), COURSE_STEPS)[1]

    def course(
        self, measure: Measure, when: TimeRange, read: Reading | None = None, most_steps: int = 120
    ) -> tuple[Steps, Values]:
        """The figure step by step."""
        whole = read or self.reading(measure.metric, when, most_steps)
        steps = whole.steps if read is None else Steps.of(when, when.step_of(most_steps))
        part = self._of(whole, measure.which, measure.by, when, steps)
        return steps, measure.course(part, self._of(whole, measure.of, (), when, steps))

    def reading(self, metric: MetricDefinition, when: TimeRange, most_steps: int = 120) -> Reading:
        """All series of a metric in a range."""
        key = (metric.name, when.since_ns, most_steps)
        found = self._read.get(key)
        if found is None:
            found = self._read[key] = series.read(
                self._reader, metric.name, when, service=self._service, most_steps=most_steps
            )
            self.partial = self.partial or found.partial
        return found

    def last(self, metric: MetricDefinition, by: Sequence[str], length_s: int) -> Reading:
        """The series of the last while as one step, by attributes."""
        return self._window(metric, every, tuple(by), self.now_ns, length_s)

    def grouped(self, read: Reading, by: tuple[str, ...]) -> Reading:
        """The series of a reading by attributes."""
        when = TimeRange(read.steps.start_ns, read.until_ns, "")
        return self._of(read, every, by, when, read.steps)

    def _at(self, measure: Measure, until_ns: int) -> float | None:
        length_s = measure.window_s
        part = self._window(measure.metric, measure.which, measure.by, until_ns, length_s)
        whole = part
        if measure.form == "share":
            whole = self._window(measure.metric, measure.of, (), until_ns, length_s)
        return measure.value(part, whole)

    def _window(
        self,
        metric: MetricDefinition,
        which: Which,
        by: tuple[str, ...],
        until_ns: int,
        length_s: int,
    ) -> Reading:
        when = TimeRange(until_ns - length_s * SECOND_NS, until_ns, "")
        steps = Steps(when.since_ns, when.length_ns, 1)
        return self._of(self._recent(metric), which, by, when, steps)

    def _recent(self, metric: MetricDefinition) -> Reading:
        when = TimeRange(self.now_ns - LOOK_BACK_NS, self.now_ns, "")
        return self.reading(metric, when, LOOK_BACK_NS // (60 * SECOND_NS))

    def _of(
        self, read: Reading, which: Which, by: tuple[str, ...], when: TimeRange, steps: Steps
    ) -> Reading:
        key = (id(read), which, by, when.since_ns, when.until_ns, steps.step_ns)
        found = self._chosen.get(key)
        if found is None:
            chosen = (one for one in read.series if which(dict(one.attributes)))
            cut = [_cut(one, when) for one in chosen]
            found = self._chosen[key] = Reading(read.info, cut, when, by=by, steps=steps)
        return found


def _cut(one: MetricSeries, when: TimeRange) -> MetricSeries:
    """The points of a range, and those that say what was before it."""
    times = [point.time_ns for point in one.points]
    first = max(0, bisect_left(times, when.since_ns - IDLE_NS) - 1)
    last = bisect_left(times, when.until_ns + 1)
    if first == 0 and last == len(times):
        return one
    return replace(one, points=one.points[first:last])
