"""Instruments of users' own: any attributes, any numbers, and nothing that can break their code."""

from __future__ import annotations

import logging
import re
import threading
from math import inf
from typing import TYPE_CHECKING, Any, Final, TypeVar

from otel_django import guard
from otel_django.metric_points import Kind, MetricDefinition, Scope
from otel_django.metrics.attributes import AttributeKeys
from otel_django.metrics.histogram import checked_bounds, default_bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from otel_django.metrics.instruments import Counter, Gauge, Histogram
    from otel_django.metrics.recorder import Recorder
    from otel_django.metrics.shards import Values

_NAME: Final = re.compile(r"[a-zA-Z][-_./a-zA-Z0-9]{0,254}")
_UNIT: Final = re.compile(r"[\x00-\x7F]{0,63}")
_logger = logging.getLogger(guard.LOGGER_NAME)
Made = TypeVar("Made", bound="Custom")
Observed = tuple[float, "Mapping[str, Any] | None"]


class Custom:
    """What users' instruments have in common. ``least`` is the smallest number they take."""

    least: float = -inf

    def __init__(self, meter: CustomMeter, definition: MetricDefinition) -> None:
        self._name = definition.name
        self._values = meter.keys().of
        self._span = meter.recorder.span_of
        self._refused = False

    def _number(self, amount: Any) -> float | None:
        """``amount`` as a plain number; None where it can't be measured, which is said once."""
        number = amount if type(amount) in {int, float} else _plain(amount)
        if number is not None and self.least <= number < inf and number != -inf:
            return number
        if not self._refused:
            self._refused = True
            _logger.warning(
                "The metric %s was given %s and left it out: it takes %s.",
                self._name,
                "something else" if number is None else number,
                "numbers" if self.least else "numbers from 0 upwards",
            )
        return None


def _plain(amount: Any) -> float | None:
    if isinstance(amount, str | bytes | bytearray):  # float() would read them
        return None
    try:
        return int(amount) if isinstance(amount, int) else float(amount)
    except Exception:
        return None


class CustomCounter(Custom):
    """Counts; ``add`` takes numbers from 0 upwards."""

    least: float = 0

    def __init__(self, meter: CustomMeter, definition: MetricDefinition, scope: Scope) -> None:
        super().__init__(meter, definition)
        self._counter: Counter = meter.recorder.counter(definition, scope)

    def add(self, amount: float, attributes: Any = None, context: Any = None) -> None:
        """Count ``amount`` more."""
        try:
            number = amount if type(amount) is int and amount >= 0 else self._number(amount)
            if number is not None:
                self._counter.add(number, self._values(attributes), self._span(context))
        except Exception:
            guard.caught("metrics.add")


class CustomUpDownCounter(CustomCounter):
    """Counts up and down."""

    least: float = -inf


class CustomHistogram(Custom):
    """Spreads measurements over buckets; ``record`` takes numbers from 0 upwards."""

    least: float = 0

    def __init__(self, meter: CustomMeter, definition: MetricDefinition, scope: Scope) -> None:
        super().__init__(meter, definition)
        self._histogram: Histogram = meter.recorder.histogram(definition, scope)

    def record(self, amount: float, attributes: Any = None, context: Any = None) -> None:
        """Take a measurement."""
        try:
            number = self._number(amount)
            if number is not None:
                self._histogram.record(number, self._values(attributes), self._span(context))
        except Exception:
            guard.caught("metrics.record")


class CustomGauge(Custom):
    """Has the value that was set last."""

    def __init__(self, meter: CustomMeter, definition: MetricDefinition, scope: Scope) -> None:
        super().__init__(meter, definition)
        self._gauge: Gauge = meter.recorder.gauge(definition, scope)

    def set(self, amount: float, attributes: Any = None, context: Any = None) -> None:
        """It is ``amount`` now."""
        try:
            number = self._number(amount)
            if number is not None:
                self._gauge.set(number, self._values(attributes))
        except Exception:
            guard.caught("metrics.set")


class CustomMeter:
    """Makes the instruments of one scope, each once.

    Names are compared without regard to case, as the specification has it: the first spelling
    stays, and so do the first description and bounds. What differs is said once. ``kind`` of
    instrument is a class derived from those above.

    All methods raise ValueError for names, units and bounds that the specification doesn't allow.
    """

    def __init__(self, recorder: Recorder, scope: Scope) -> None:
        self.recorder = recorder
        self._scope = scope
        self._lock = threading.RLock()
        self._definitions: dict[tuple[str, Kind, str], MetricDefinition] = {}
        self._made: dict[tuple[MetricDefinition, type], Any] = {}
        self._said: set[str] = set()

    def keys(self) -> AttributeKeys:
        """For one instrument."""
        return AttributeKeys(self.recorder.redact, self.recorder.cardinality_limit)

    def instrument(
        self,
        make: type[Made],
        kind: Kind,
        name: str,
        unit: str | None = "",
        description: str | None = "",
        bounds: Sequence[float] | None = None,
    ) -> Made:
        """The instrument of this name, made by ``make`` if it is a new one."""
        with self._lock:
            definition = self._definition(kind, name, unit or "", description or "", bounds)
            known: Any = self._made.get((definition, make))
            if known is None:
                known = self._made[definition, make] = make(self, definition, self._scope)  # type: ignore[call-arg]
            made: Made = known
            return made

    def observe(
        self,
        callback: Callable[[], Iterable[Observed]],
        kind: Kind,
        name: str,
        unit: str | None = "",
        description: str | None = "",
    ) -> None:
        """Have ``callback`` say values with their attributes at each collection."""
        with self._lock:
            definition = self._definition(kind, name, unit or "", description or "", None)
        keys = self.keys()

        def observed() -> Iterable[tuple[float, Values]]:
            for value, attributes in callback():
                number = _plain(value)
                if number is not None and -inf < number < inf:
                    yield number, keys.of(attributes)

        self.recorder.observe(definition, observed, self._scope)

    def _definition(
        self, kind: Kind, name: str, unit: str, description: str, bounds: Sequence[float] | None
    ) -> MetricDefinition:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} can't be a metric's name: up to 255 letters, digits and -_./, beginning "
                "with a letter"
            )
        if not _UNIT.fullmatch(unit):
            raise ValueError(f"{unit!r} can't be a metric's unit: up to 63 ASCII characters")
        asked = MetricDefinition(
            name, kind, unit, description, bounds=self._bounds(kind, unit, bounds)
        )
        key = (name.lower(), kind, unit)
        known = self._definitions.setdefault(key, asked)
        if len({of for of in self._definitions if of[0] == key[0]}) > 1:
            self._say(name, "kinds or units: each is a metric of its own, which few receivers take")
        if description and description != known.description:
            self._say(name, "descriptions: the first one stays")
        if bounds is not None and asked.bounds != known.bounds:
            self._say(name, "bounds: the first ones stay")
        return known

    def _bounds(self, kind: Kind, unit: str, bounds: Sequence[float] | None) -> tuple[float, ...]:
        if kind != "histogram":
            return ()
        return default_bounds(unit) if bounds is None else checked_bounds(bounds)

    def _say(self, name: str, what: str) -> None:
        if name.lower() not in self._said:
            self._said.add(name.lower())
            _logger.warning("The metric %s was made several times with different %s.", name, what)

    def after_fork(self) -> None:
        """In a forked child: the parent's other threads don't hold its lock."""
        self._lock = threading.RLock()
