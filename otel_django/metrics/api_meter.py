"""OpenTelemetry's metrics API over the recorder: for contrib's instrumentors and users' own code.

What they measure is cheap, is summed over the host's processes and begins at zero after a fork.
The SDK's metrics aren't loaded. Views are the SDK's and unknown here.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final, TypeVar

from opentelemetry import metrics as api
from opentelemetry import trace
from opentelemetry.metrics import _internal as api_state

from otel_django import guard
from otel_django.metric_points import Kind, Scope
from otel_django.metrics.attributes import AttributeKeys, attributes_of
from otel_django.metrics.custom import (
    Custom,
    CustomCounter,
    CustomGauge,
    CustomHistogram,
    CustomMeter,
    CustomUpDownCounter,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from opentelemetry.context import Context
    from opentelemetry.util.types import Attributes

    from otel_django.metrics.recorder import Recorder

CALLBACK_TIMEOUT_MS: Final = 10_000

_logger = logging.getLogger(guard.LOGGER_NAME)
Made = TypeVar("Made", bound=Custom)


def span_in(context: Context | None) -> trace.Span:
    """The span of ``context``, None being the current one: for ``Recorder(span_of=…)``."""
    return trace.get_current_span(context)


class Counter(CustomCounter, api.Counter):
    """The API's counter."""


class UpDownCounter(CustomUpDownCounter, api.UpDownCounter):
    """The API's counter that goes both ways."""


class Histogram(CustomHistogram, api.Histogram):
    """The API's histogram."""


class Gauge(CustomGauge, api._Gauge):
    """The API's gauge."""


class ObservableCounter(api.ObservableCounter):
    """The API's; its callbacks are with the recorder."""

    def __init__(self, name: str) -> None:
        self.name = name


class ObservableUpDownCounter(api.ObservableUpDownCounter):
    """The API's; its callbacks are with the recorder."""

    def __init__(self, name: str) -> None:
        self.name = name


class ObservableGauge(api.ObservableGauge):
    """The API's; its callbacks are with the recorder."""

    def __init__(self, name: str) -> None:
        self.name = name


class Meter(api.Meter):
    """Makes instruments of one scope. One that can't be made is said, and does nothing."""

    def __init__(self, meter: CustomMeter, scope: Scope) -> None:
        super().__init__(scope.name, scope.version, scope.schema_url)
        self._meter = meter

    def create_counter(self, name: str, unit: str = "", description: str = "") -> api.Counter:
        """For what only grows."""
        made = self._made(Counter, "counter", name, unit, description)
        return made or api.NoOpCounter(name)

    def create_up_down_counter(
        self, name: str, unit: str = "", description: str = ""
    ) -> api.UpDownCounter:
        """For what goes up and down."""
        made = self._made(UpDownCounter, "up_down_counter", name, unit, description)
        return made or api.NoOpUpDownCounter(name)

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: Sequence[float] | None = None,
    ) -> api.Histogram:
        """For what is spread; without advice, bounds are in seconds where the unit is."""
        bounds = explicit_bucket_boundaries_advisory
        made = self._made(Histogram, "histogram", name, unit, description, bounds)
        return made or api.NoOpHistogram(name)

    def create_gauge(self, name: str, unit: str = "", description: str = "") -> api._Gauge:
        """For what has a value now."""
        made = self._made(Gauge, "gauge", name, unit, description)
        return made or api._NoOpGauge(name)

    def create_observable_counter(
        self,
        name: str,
        callbacks: Sequence[api.CallbackT] | None = None,
        unit: str = "",
        description: str = "",
    ) -> api.ObservableCounter:
        """For a sum that callbacks tell."""
        self._observe(callbacks, "counter", name, unit, description)
        return ObservableCounter(name)

    def create_observable_up_down_counter(
        self,
        name: str,
        callbacks: Sequence[api.CallbackT] | None = None,
        unit: str = "",
        description: str = "",
    ) -> api.ObservableUpDownCounter:
        """For a sum that callbacks tell, which may fall."""
        self._observe(callbacks, "up_down_counter", name, unit, description)
        return ObservableUpDownCounter(name)

    def create_observable_gauge(
        self,
        name: str,
        callbacks: Sequence[api.CallbackT] | None = None,
        unit: str = "",
        description: str = "",
    ) -> api.ObservableGauge:
        """For a value that callbacks tell."""
        self._observe(callbacks, "gauge", name, unit, description)
        return ObservableGauge(name)

    def _made(self, make: type[Made], kind: Kind, name: str, *rest: Any) -> Made | None:
        try:
            return self._meter.instrument(make, kind, name, *rest)
        except ValueError as error:
            _logger.warning("A metric of %s is left out: %s", self.name, error)
        except Exception:
            guard.caught("metrics.create")
        return None

    def _observe(
        self, callbacks: Sequence[api.CallbackT] | None, kind: Kind, name: str, *rest: Any
    ) -> None:
        try:
            for callback in callbacks or ():
                self._meter.observe(_observing(callback), kind, name, *rest)
        except ValueError as error:
            _logger.warning("A metric of %s is left out: %s", self.name, error)
        except Exception:
            guard.caught("metrics.create")


def _observing(callback: api.CallbackT) -> Callable[[], Iterator[tuple[float, Attributes]]]:
    """Calls ``callback``, or has a generator go one step, and takes its observations apart."""
    asked: Callable[[api.CallbackOptions], Iterable[api.Observation]]
    if isinstance(callback, Generator):
        next(callback)
        asked = callback.send
    else:
        asked = callback

    def observe() -> Iterator[tuple[float, Attributes]]:
        try:
            observations = asked(api.CallbackOptions(CALLBACK_TIMEOUT_MS))
        except StopIteration:  # the generator has come to its end
            return
        for observation in observations:
            yield observation.value, observation.attributes

    return observe


class MeterProvider(api.MeterProvider):
    """Gives meters whose instruments record with ``recorder``; ``flush`` takes seconds."""

    def __init__(self, recorder: Recorder, flush: Callable[[float], bool] | None = None) -> None:
        self._recorder = recorder
        self._flush = flush
        self._scope_keys = AttributeKeys(recorder.redact, 0)

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> api.Meter:
        """The meter of a scope."""
        scope = Scope(
            name or "",
            version or "",
            schema_url or "",
            attributes_of(self._scope_keys.of(attributes)),
        )
        return Meter(self._recorder.meter(scope), scope)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """As the SDK's: what was measured before is handed on."""
        return self._flush is None or self._flush(timeout_millis / 1000)

    def shutdown(self, timeout_millis: float = 30_000) -> None:
        """As the SDK's; metrics end with the process."""
        self.force_flush(timeout_millis)


def in_charge() -> api.MeterProvider | None:
    """The global meter provider, if one is set; the API's stand-ins don't count."""
    return api_state._METER_PROVIDER


def take_charge(provider: MeterProvider) -> bool:
    """Become the global meter provider, unless there is one; whether it is in charge then."""
    if in_charge() is None:
        api.set_meter_provider(provider)
    return in_charge() is provider
