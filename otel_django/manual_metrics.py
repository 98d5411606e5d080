"""Metrics of a site's own: ``counter("orders.placed").add(1, {"channel": "web"})``.

Importing this is light. Instruments may be made when a module is imported, before the site is set
up; where nobody measures they do nothing and load nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from otel_django import guard
from otel_django.metrics import active

if TYPE_CHECKING:
    from otel_django.metric_points import Kind
    from otel_django.metrics.recorder import Recorder

_logger = logging.getLogger(guard.LOGGER_NAME)

Attributes = Mapping[str, Any]


class _Nothing:
    """In place of an instrument that can't be made."""

    def _ignore(self, amount: float, attributes: Attributes | None = None) -> None:
        """Nothing."""

    add = set = record = _ignore


class _Instrument:
    """An instrument of whatever recorder is active when it is used."""

    __slots__ = ("_arguments", "_made", "_recorder")
    _kind: Kind

    def __init__(
        self, name: str, unit: str, description: str, bounds: Sequence[float] | None = None
    ) -> None:
        self._arguments = (name, unit, description, bounds)
        self._made: Any = None
        self._recorder: Recorder | None = None

    def _of(self, recorder: Recorder) -> Any:
        """The same with ``recorder``."""
        if recorder is not self._recorder:
            self._made = self._make(recorder)
            self._recorder = recorder
        return self._made

    def _make(self, recorder: Recorder) -> Any:
        from otel_django.metrics import custom

        classes: dict[Kind, type[custom.Custom]] = {
            "counter": custom.CustomCounter,
            "up_down_counter": custom.CustomUpDownCounter,
            "gauge": custom.CustomGauge,
            "histogram": custom.CustomHistogram,
        }
        try:
            made = classes[self._kind]
            return recorder.meter().instrument(made, self._kind, *self._arguments)
        except ValueError as error:
            _logger.warning("A metric is left out: %s", error)
        except Exception:
            guard.caught("metrics.create")
        return _Nothing()


class Counter(_Instrument):
    """Counts what happens."""

    __slots__ = ()
    _kind = "counter"

    def add(self, amount: float, attributes: Attributes | None = None) -> None:
        """``amount`` more (0 or above) happened, with these attributes."""
        recorder = active.recorder()
        if recorder is not None:
            self._of(recorder).add(amount, attributes)


class UpDownCounter(_Instrument):
    """Counts what comes and goes."""

    __slots__ = ()
    _kind = "up_down_counter"

    def add(self, amount: float, attributes: Attributes | None = None) -> None:
        """``amount`` more there are, or fewer if it is below 0."""
        recorder = active.recorder()
        if recorder is not None:
            self._of(recorder).add(amount, attributes)


class Gauge(_Instrument):
    """Has the value that was set last."""

    __slots__ = ()
    _kind = "gauge"

    def set(self, value: float, attributes: Attributes | None = None) -> None:
        """It is ``value`` now."""
        recorder = active.recorder()
        if recorder is not None:
            self._of(recorder).set(value, attributes)


class Histogram(_Instrument):
    """Says how measurements are spread: how many there are up to each of its bounds."""

    __slots__ = ()
    _kind = "histogram"

    def record(self, value: float, attributes: Attributes | None = None) -> None:
        """``value`` (0 or above) was measured."""
        recorder = active.recorder()
        if recorder is not None:
            self._of(recorder).record(value, attributes)


def counter(name: str, unit: str = "", description: str = "") -> Counter:
    """For what only grows: ``counter("orders.placed", "{order}").add(1, {"channel": "web"})``.

    Names are up to 255 letters, digits and ``-_./``, beginning with a letter; units up to 63 ASCII
    characters, by UCUM: ``s``, ``By``, ``{order}``. What isn't allowed is said in the log when it
    is first used, and does nothing. Attributes are made plain when they are given; secrets in them
    are masked. All this goes for the other kinds, too.
    """
    return Counter(name, unit, description)


def up_down_counter(name: str, unit: str = "", description: str = "") -> UpDownCounter:
    """For what goes up and down, summed over processes: ``…add(1)``, ``…add(-1)``."""
    return UpDownCounter(name, unit, description)


def gauge(name: str, unit: str = "", description: str = "") -> Gauge:
    """For what has a value now: ``gauge("stock.level", "{item}").set(12)``."""
    return Gauge(name, unit, description)


def histogram(
    name: str, unit: str = "", description: str = "", *, bounds: Sequence[float] | None = None
) -> Histogram:
    """For what is spread: ``histogram("order.value", "EUR", bounds=(10, 100, 1000)).record(42)``.

    Without ``bounds`` they are 5 ms to 10 s where the unit is ``s``, else 0 to 10,000.
    """
    return Histogram(name, unit, description, bounds)
