"""One thread's part of one series. Only its thread writes to a cell; any thread may read it."""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from otel_django import guard
from otel_django.metric_points import Exemplar, NumberPoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from otel_django.metric_points import Attributes, Point

ExemplarFilter = Literal["always_on", "always_off", "trace_based"]


Taken = tuple[int, float, int, int]
"""An exemplar as it is kept: time, value, trace id, span id."""


class HasContext(Protocol):
    """A span, as far as an exemplar needs it; the API's and ours have this."""

    def get_span_context(self) -> Any:
        """The API's ``SpanContext``."""
        ...


class Recording:
    """What all cells of a recorder share: whether exemplars are wanted, and who is to be woken.

    ``quiet`` until the first measurement after a collection, which calls ``wake``.
    """

    __slots__ = ("_filter", "always", "quiet", "wake")

    def __init__(self, exemplar_filter: ExemplarFilter, wake: Callable[[], object]) -> None:
        self._filter = exemplar_filter
        self.always = exemplar_filter == "always_on"
        self.wake = wake
        self.quiet = True

    def rouse(self) -> None:
        """The first measurement after a collection was taken."""
        self.quiet = False
        try:
            self.wake()
        except Exception:
            guard.caught("metrics.wake")

    def taken(self, value: float, span: HasContext | None) -> Taken | None:
        """``value`` as an exemplar, if the filter wants it."""
        if span is not None and self._filter != "always_off":
            context = span.get_span_context()
            if self.always or context[3] & 1:  # a tuple, whose properties take calls
                return (time_ns(), value, context[0], context[1])
        elif self.always:
            return (time_ns(), value, 0, 0)
        return None


class SumCell:
    """A part of a counter's sum; the last measurement in a recorded trace stands for all."""

    __slots__ = ("_recording", "changed", "exemplar", "value")

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self.value: int | float = 0
        self.changed = True
        self.exemplar: Taken | None = None

    def add(self, amount: float, span: HasContext | None = None) -> None:
        """Count ``amount`` more (or less, for what goes up and down)."""
        self.value += amount
        recording = self._recording
        if span is not None or recording.always:
            self.exemplar = recording.taken(amount, span) or self.exemplar
        self.changed = True
        if recording.quiet:
            recording.rouse()

    def absorb(self, other: SumCell) -> None:
        """Add what another thread measured."""
        self.value += other.value
        self.exemplar = latest(self.exemplar, other.exemplar)
        self.changed = True

    def point(self, attributes: Attributes, start_ns: int, time_ns: int) -> NumberPoint:
        """The sum so far."""
        return NumberPoint(attributes, self.value, start_ns, time_ns, exemplars_of([self.exemplar]))


class Cell(Protocol):
    """What the sums of threads have in common.

    ``changed`` is set after each measurement; who reads what has changed takes it back first.
    """

    changed: bool

    def absorb(self, other: Any) -> None:
        """Add what another thread measured."""
        ...

    def point(self, attributes: Attributes, start_ns: int, time_ns: int) -> Point:
        """What was measured so far."""
        ...


AnyCell = TypeVar("AnyCell", bound=Cell)


def latest(one: Taken | None, other: Taken | None) -> Taken | None:
    """The exemplar that was taken last."""
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)


def exemplars_of(taken: Iterable[Taken | None]) -> tuple[Exemplar, ...]:
    """Those that are there, the oldest first."""
    return tuple(
        Exemplar(value, time_ns, trace_id, span_id)
        for time_ns, value, trace_id, span_id in sorted(filter(None, taken))
    )
