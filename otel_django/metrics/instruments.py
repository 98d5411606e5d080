"""Instruments: what measurements of one metric are given to."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, Final, Generic

from otel_django.guard import LOGGER_NAME
from otel_django.metric_points import Metric, MetricDefinition, NumberPoint, Scope
from otel_django.metrics.attributes import attributes_of
from otel_django.metrics.cells import AnyCell, HasContext, SumCell
from otel_django.metrics.exponential import ExponentialCell
from otel_django.metrics.histogram import HistogramCell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from otel_django.metric_points import Attributes, Kind, Point
    from otel_django.metrics.shards import Shard, Shards, Values

OVERFLOW: Final = (("otel.metric.overflow", True),)
"""The attributes, and the values, of what is beyond the limit of series."""

POINTS_BETWEEN_PAUSES: Final = 32

_logger = logging.getLogger(LOGGER_NAME)


class Series:
    """The sets of values of one metric, at most ``limit`` of them; ``overflowed`` is told of the
    rest. Values are in the order of ``definition.attributes``; where that is empty they are
    attributes themselves, as pairs.
    """

    def __init__(
        self, definition: MetricDefinition, limit: int, overflowed: Callable[[str], None]
    ) -> None:
        self._name = definition.name
        self._limit = limit
        self._overflowed = overflowed
        self._unsaid = threading.Lock()  # taken once, by the thread that says it
        self._order = sorted((key, place) for place, key in enumerate(definition.attributes))
        self.attributes: dict[Values, Attributes] = {}

    def admit(self, values: Values) -> Values:
        """``values``, or OVERFLOW if they would be one too many."""
        known = self.attributes
        if values in known:
            return values
        # One place is the overflow's. Threads that come together may go beyond by their number.
        if len(known) < self._limit - 1:
            known[values] = self.attributes_of(values)
            return values
        known.setdefault(OVERFLOW, OVERFLOW)
        self._overflowed(self._name)
        if self._unsaid.acquire(blocking=False):
            _logger.warning(
                "The metric %s has more than %s sets of attributes: further ones are summed up as "
                "otel.metric.overflow. OTEL_DJANGO_CARDINALITY_LIMIT raises the limit.",
                self._name,
                self._limit,
            )
        return OVERFLOW

    def attributes_of(self, values: Values) -> Attributes:
        """Sorted by key, without those that are None."""
        if not self._order:
            return attributes_of(values)
        return tuple((key, values[at]) for key, at in self._order if values[at] is not None)

    def after_fork(self) -> None:
        """Forget all."""
        self.attributes = {}


class Instrument:
    """One metric of one scope."""

    def __init__(self, definition: MetricDefinition, scope: Scope, series: Series) -> None:
        self.definition = definition
        self.scope = scope
        self._series = series

    @property
    def kind(self) -> Kind:
        """As it is collected."""
        return self.definition.kind

    def points(self, shards: list[Shard], start_ns: int, time_ns: int) -> Iterable[Point]:
        """What was measured so far."""
        raise NotImplementedError

    def changed_points(self, shards: list[Shard], start_ns: int, time_ns: int) -> Iterable[Point]:
        """Those that may be others than when this was called last. For one caller alone."""
        return self.points(shards, start_ns, time_ns)

    def metric(self, points_now: Iterable[Point], pause: Callable[[], object]) -> Metric:
        """The metric with these points; ``pause`` is called between some of them."""
        points = []
        for point in points_now:
            points.append(point)
            if not len(points) % POINTS_BETWEEN_PAUSES:
                pause()
        definition = self.definition
        return Metric(
            definition.name,
            definition.unit,
            definition.description,
            self.kind,
            tuple(points),
            bounds=definition.bounds if self.kind == "histogram" else (),
            scope=self.scope,
        )

    def after_fork(self, shards: Shards) -> None:
        """In a forked child: begin at nothing, with new ``shards``."""
        self._series.after_fork()


class Summed(Instrument, Generic[AnyCell]):
    """An instrument with a cell for each thread and series."""

    def __init__(
        self, definition: MetricDefinition, scope: Scope, series: Series, shards: Shards
    ) -> None:
        super().__init__(definition, scope, series)
        self._own = shards.own

    def new_cell(self) -> AnyCell:
        """An empty one."""
        raise NotImplementedError

    def at(self, values: Values = ()) -> AnyCell:
        """The running thread's cell of the series with these values, to be used by it and soon."""
        try:
            return self._own.shard[self][values]  # type: ignore[no-any-return]
        except KeyError:
            return self._first(values)

    def _first(self, values: Values) -> AnyCell:
        """This thread hasn't measured this series before."""
        cells = self._own.shard[self]
        admitted = self._series.admit(values)
        cell: AnyCell | None = cells.get(admitted)
        if cell is None:
            cell = cells[admitted] = self.new_cell()
        return cell

    def absorb(self, into: dict[Values, AnyCell], cells: dict[Values, AnyCell]) -> None:
        """Add ``cells`` of a thread to the sums ``into``."""
        for values, cell in cells.copy().items():
            if values not in into:
                into[values] = self.new_cell()
            into[values].absorb(cell)

    def points(self, shards: list[Shard], start_ns: int, time_ns: int) -> Iterable[Point]:
        """The sums of all threads."""
        parts: dict[Values, list[AnyCell]] = {}
        for shard in shards:
            if self in shard:
                for values, cell in shard[self].copy().items():
                    parts.setdefault(values, []).append(cell)
        attributes = self._series.attributes
        for values, cells in parts.items():
            cell = cells[0] if len(cells) == 1 else self._sum(cells)
            yield cell.point(attributes[values], start_ns, time_ns)

    def changed_points(self, shards: list[Shard], start_ns: int, time_ns: int) -> Iterable[Point]:
        """The sums of what any thread has measured since; all states, which come and go."""
        if self.definition.kind == "up_down_counter":
            yield from self.points(shards, start_ns, time_ns)
            return
        threads = [shard[self].copy() for shard in shards if self in shard]
        changed: dict[Values, None] = {}
        for cells in threads:
            for values, cell in cells.items():
                if cell.changed:
                    cell.changed = False
                    changed[values] = None
        attributes = self._series.attributes
        for values in changed:
            found = [cells[values] for cells in threads if values in cells]
            cell = found[0] if len(found) == 1 else self._sum(found)
            yield cell.point(attributes[values], start_ns, time_ns)

    def _sum(self, cells: list[AnyCell]) -> AnyCell:
        total = self.new_cell()
        for cell in cells:
            total.absorb(cell)
        return total

    def after_fork(self, shards: Shards) -> None:
        """In a forked child: begin at nothing, with new ``shards``."""
        super().after_fork(shards)
        self._own = shards.own


class Counter(Summed[SumCell]):
    """Only grows, unless its kind is ``up_down_counter``."""

    def __init__(self, recording: Any, *args: Any) -> None:
        super().__init__(*args)
        self._recording = recording

    def new_cell(self) -> SumCell:
        """An empty one."""
        return SumCell(self._recording)

    def add(self, amount: float, values: Values = (), span: HasContext | None = None) -> None:
        """Count ``amount`` more; ``span`` is where it happened, for the exemplar."""
        try:
            cell = self._own.shard[self][values]
        except KeyError:
            cell = self._first(values)
        cell.add(amount, span)


class Histogram(Summed[Any]):
    """How measurements are spread."""

    def __init__(self, recording: Any, exponential: bool, *args: Any) -> None:
        super().__init__(*args)
        self._recording = recording
        self._exponential = exponential

    @property
    def kind(self) -> Kind:
        """As it is collected."""
        return "exponential_histogram" if self._exponential else "histogram"

    def new_cell(self) -> HistogramCell | ExponentialCell:
        """An empty one."""
        if self._exponential:
            return ExponentialCell(self._recording)
        return HistogramCell(self._recording, self.definition.bounds)

    def record(self, value: float, values: Values = (), span: HasContext | None = None) -> None:
        """Take a measurement; ``span`` is where, for the exemplar."""
        try:
            cell = self._own.shard[self][values]
        except KeyError:
            cell = self._first(values)
        cell.record(value, span)

    def record_all(
        self,
        measured: Sequence[float],
        values: Values = (),
        spans: Sequence[HasContext | None] = (),
    ) -> None:
        """Take measurements of one series, one at least; ``spans`` is as long, or empty."""
        self.at(values).record_all(measured, spans)


class Gauge(Instrument):
    """The last value that any thread has set."""

    def __init__(self, recording: Any, *args: Any) -> None:
        super().__init__(*args)
        self._recording = recording
        self._last: dict[Values, float] = {}

    def set(self, value: float, values: Values = ()) -> None:
        """It is ``value`` now."""
        if values not in self._last:
            values = self._series.admit(values)
        self._last[values] = value
        if self._recording.quiet:
            self._recording.rouse()

    def points(self, shards: list[Shard], start_ns: int, time_ns: int) -> Iterable[Point]:
        """The last values."""
        attributes = self._series.attributes
        for values, value in self._last.copy().items():
            yield NumberPoint(attributes[values], value, start_ns, time_ns)

    def after_fork(self, shards: Shards) -> None:
        """In a forked child: nothing is set."""
        super().after_fork(shards)
        self._last = {}


class Observed(Instrument):
    """Measured when it is collected, by callbacks.

    What several report of one series is added up, but for gauges.
    """

    def __init__(self, definition: MetricDefinition, scope: Scope, series: Series) -> None:
        super().__init__(definition, scope, series)
        self.callbacks: list[Callable[[], Iterable[tuple[float, Values]]]] = []
        self._last: dict[Values, float] = {}

    def look(self, observed: Sequence[tuple[float, Values]]) -> None:
        """Take what the callbacks say now."""
        gauge = self.definition.kind == "gauge"
        now: dict[Values, float] = {}
        for value, values in observed:
            admitted = self._series.admit(values)
            now[admitted] = value if gauge else now.get(admitted, 0) + value
        self._last = now

    def points(self, shards: list[Shard], start_ns: int, time_ns: int) -> Iterable[Point]:
        """What was said when ``look`` was called last."""
        attributes = self._series.attributes
        for values, value in self._last.items():
            yield NumberPoint(attributes[values], value, start_ns, time_ns)

    def after_fork(self, shards: Shards) -> None:
        """In a forked child: nothing was seen yet."""
        super().after_fork(shards)
        self._last = {}
