"""The metrics of this process: instruments for those who measure, sums for those who ask."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from otel_django import guard
from otel_django.metric_definitions import OTEL_DJANGO_METRIC_OVERFLOWS as OVERFLOWS
from otel_django.metric_points import Metric, MetricDefinition, Scope
from otel_django.metrics.cells import ExemplarFilter, Recording
from otel_django.metrics.custom import CustomMeter
from otel_django.metrics.instruments import (
    Counter,
    Gauge,
    Histogram,
    Instrument,
    Observed,
    Series,
)
from otel_django.metrics.shards import Shards

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from otel_django.clock import Clock
    from otel_django.metric_points import Point
    from otel_django.metrics.attributes import Redact
    from otel_django.metrics.cells import HasContext
    from otel_django.metrics.shards import Shard, Values

    PointsOf = Callable[[list[Shard], int, int], Iterable[Point]]

OUR_SCOPE = Scope()
_MOST_UNTOLD: Final = 100
Made = TypeVar("Made", bound=Instrument)


def _nobody() -> None:
    """Is to be woken."""


def _unchanged(name: str, text: str) -> str:
    return text


def _no_span(context: object) -> None:
    """Is current."""


class Recorder:
    """Gives instruments, and their sums since the process began (or was forked).

    ``wake`` is called by the first measurement after each ``collect``, on the thread that takes it.
    Instruments are the same for the same definition and scope. Attributes are given to them as the
    tuple of their values, in the order of ``definition.attributes``, None for what is absent; with
    a definition that names no attributes, as a sorted tuple of pairs.

    For users' own instruments, ``redact`` clears an attribute's text of secrets, and ``span_of``
    gives the span of an OpenTelemetry context, None being the current one.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        cardinality_limit: int = 2000,
        exemplar_filter: ExemplarFilter = "trace_based",
        aggregation: Literal["explicit", "exponential"] = "explicit",
        wake: Callable[[], object] = _nobody,
        redact: Redact = _unchanged,
        span_of: Callable[[Any], HasContext | None] = _no_span,
    ) -> None:
        self.cardinality_limit = cardinality_limit
        self.redact = redact
        self.span_of = _no_span if exemplar_filter == "always_off" else span_of
        self._clock = clock
        self._exponential = aggregation == "exponential"
        self.recording = Recording(exemplar_filter, wake)
        self._shards = Shards()
        self._gatherings: list[tuple[Callable[[], None], Callable[[], None]]] = []
        self._making = threading.RLock()
        self._instruments: dict[tuple[MetricDefinition, Scope, type], Instrument] = {}
        self._meters: dict[Scope, CustomMeter] = {}
        self._start_ns = clock.now_ns()
        self._overflows = self.counter(OVERFLOWS)
        self.collections_s: deque[float] = deque(maxlen=_MOST_UNTOLD)
        """How long collecting took, for those who tell of it."""

    # --- instruments

    def counter(self, definition: MetricDefinition, scope: Scope = OUR_SCOPE) -> Counter:
        """For what only grows."""
        return self._instrument(
            definition, scope, Counter, lambda *args: Counter(self.recording, *args, self._shards)
        )

    def up_down_counter(self, definition: MetricDefinition, scope: Scope = OUR_SCOPE) -> Counter:
        """For what goes up and down."""
        return self.counter(definition, scope)

    def gauge(self, definition: MetricDefinition, scope: Scope = OUR_SCOPE) -> Gauge:
        """For what has a value now."""
        return self._instrument(
            definition, scope, Gauge, lambda *args: Gauge(self.recording, *args)
        )

    def histogram(self, definition: MetricDefinition, scope: Scope = OUR_SCOPE) -> Histogram:
        """For what is spread."""
        return self._instrument(
            definition,
            scope,
            Histogram,
            lambda *args: Histogram(self.recording, self._exponential, *args, self._shards),
        )

    def observe(
        self,
        definition: MetricDefinition,
        callback: Callable[[], Iterable[tuple[float, Values]]],
        scope: Scope = OUR_SCOPE,
    ) -> None:
        """Have ``callback`` say all values, at each collection and on the thread that collects."""
        self._instrument(definition, scope, Observed, Observed).callbacks.append(callback)

    def meter(self, scope: Scope = OUR_SCOPE) -> CustomMeter:
        """For users' own instruments; the same one for the same scope."""
        with self._making:
            meter = self._meters.get(scope)
            if meter is None:
                meter = self._meters[scope] = CustomMeter(self, scope)
            return meter

    def gather(self, drain: Callable[[], None], forget: Callable[[], None]) -> None:
        """Have ``drain`` record what waits elsewhere before each collection, and ``forget`` drop
        it in a forked child.
        """
        self._gatherings.append((drain, forget))

    def _instrument(
        self,
        definition: MetricDefinition,
        scope: Scope,
        kind: type[Made],
        make: Callable[[MetricDefinition, Scope, Series], Made],
    ) -> Made:
        key = (definition, scope, kind)
        with self._making:
            known: Any = self._instruments.get(key)
            if known is None:
                series = Series(definition, self.cardinality_limit, self._overflowed)
                known = self._instruments[key] = make(definition, scope, series)
            made: Made = known
            return made

    def _overflowed(self, name: str) -> None:
        if name != OVERFLOWS.name:
            self._overflows.add(1, (name,))

    # --- sums

    def collect(self, pause: Callable[[], object] = _nobody) -> tuple[Metric, ...]:
        """The cumulative sums of this process, of every metric that has any.

        ``pause`` is called now and then, to let other threads go on. Exemplars are the last ones of
        each bucket, however long ago that was.
        """
        return self._collected(lambda instrument: instrument.points, pause)

    def changes(self, pause: Callable[[], object] = _nobody) -> tuple[Metric, ...]:
        """The same, of counters and histograms without the series that nobody has measured since
        this was called last: it costs what was measured. For one caller alone.
        """
        return self._collected(lambda instrument: instrument.changed_points, pause)

    def _collected(
        self, points_of: Callable[[Instrument], PointsOf], pause: Callable[[], object]
    ) -> tuple[Metric, ...]:
        started_s = self._clock.monotonic_s()
        self._drain()
        self.recording.quiet = True
        self._drain()  # what came in between, of which nobody was told
        self._look()
        now_ns = self._clock.now_ns()
        with self._shards.read() as shards:
            metrics = [
                instrument.metric(points_of(instrument)(shards, self._start_ns, now_ns), pause)
                for instrument in list(self._instruments.values())
            ]
        self.collections_s.append(self._clock.monotonic_s() - started_s)
        return tuple(metric for metric in metrics if metric.points)

    def _drain(self) -> None:
        for drain, _ in self._gatherings:
            drain()

    def _look(self) -> None:
        for instrument in list(self._instruments.values()):
            if isinstance(instrument, Observed):
                observed: list[tuple[float, Values]] = []
                for callback in list(instrument.callbacks):
                    with guard.guarded(f"metrics.observe {instrument.definition.name}"):
                        observed.extend(callback())
                instrument.look(observed)

    def after_fork(self) -> None:
        """In a forked child: all sums begin at zero; instruments and callbacks stay."""
        self._making = threading.RLock()
        self._shards = Shards()
        self._start_ns = self._clock.now_ns()
        self.recording.quiet = True
        for meter in list(self._meters.values()):
            meter.after_fork()
        for instrument in list(self._instruments.values()):
            instrument.after_fork(self._shards)
        for _, forget in self._gatherings:
            forget()
