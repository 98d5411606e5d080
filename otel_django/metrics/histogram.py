"""Histograms with given bounds."""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING, Final

from otel_django.metric_points import HistogramPoint
from otel_django.metrics.cells import exemplars_of, latest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_django.metric_points import Attributes
    from otel_django.metrics.cells import HasContext, Recording, Taken

SECONDS: Final = (
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0
)  # fmt: skip
"""The bounds of the conventions for durations in seconds."""

DEFAULT: Final = (
    0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0,
    10000.0,
)  # fmt: skip
"""The specification's bounds for what says none; they fit milliseconds."""


def default_bounds(unit: str) -> tuple[float, ...]:
    """For a histogram whose author gave none."""
    return SECONDS if unit == "s" else DEFAULT


def checked_bounds(bounds: Sequence[float]) -> tuple[float, ...]:
    """As a tuple of floats.

    Raises:
        ValueError: where they aren't finite and ascending.
    """
    checked = tuple(float(bound) for bound in bounds)
    ascending = all(low < high for low, high in pairwise(checked))
    if not ascending or any(not -inf < bound < inf for bound in checked):
        raise ValueError(f"bounds must be finite and ascending: {bounds!r}")
    return checked


class HistogramCell:
    """How many measurements lie at or below each bound and above the one before."""

    __slots__ = (
        "_bounds", "_counts", "_exemplars", "_max", "_min", "_recording", "_sum", "changed",
    )  # fmt: skip

    def __init__(self, recording: Recording, bounds: tuple[float, ...]) -> None:
        self._recording = recording
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._min = inf
        self._max = -inf
        self._exemplars: dict[int, Taken] = {}
        self.changed = True

    def record(self, value: float, span: HasContext | None = None) -> None:
        """Take a measurement; ``span`` is where, for the exemplar."""
        # The count comes last: who reads it first finds the rest of each counted measurement.
        self._sum += value
        if not self._min <= value <= self._max:
            self._widen(value)
        index = bisect_left(self._bounds, value)
        self._counts[index] += 1
        recording = self._recording
        if span is not None or recording.always:
            taken = recording.taken(value, span)
            if taken is not None:
                self._exemplars[index] = taken
        self.changed = True
        if recording.quiet:
            recording.rouse()

    def record_all(self, values: Sequence[float], spans: Sequence[HasContext | None]) -> None:
        """Take several measurements, at less than half the cost; ``spans`` is as long, or empty."""
        self._sum += sum(values)
        self._widen(min(values))
        self._widen(max(values))
        bounds, counts = self._bounds, self._counts
        indexes = [bisect_left(bounds, value) for value in values]
        for index in indexes:
            counts[index] += 1
        recording = self._recording
        if recording.always or len(spans) > spans.count(None):
            self._take_last(values, indexes, spans)
        self.changed = True
        if recording.quiet:
            recording.rouse()

    def _take_last(
        self,
        values: Sequence[float],
        indexes: Sequence[int],
        spans: Sequence[HasContext | None],
    ) -> None:
        """Of each bucket, the last one that the filter wants: those before it wouldn't stay."""
        found: set[int] = set()
        for at in range(len(indexes) - 1, -1, -1):
            index = indexes[at]
            if index not in found:
                taken = self._recording.taken(values[at], spans[at] if spans else None)
                if taken is not None:
                    self._exemplars[index] = taken
                    found.add(index)

    def _widen(self, value: float) -> None:
        self._min = min(self._min, value)
        self._max = max(self._max, value)

    def absorb(self, other: HistogramCell) -> None:
        """Add what another thread measured."""
        self._counts = [a + b for a, b in zip(self._counts, other._counts[:], strict=True)]
        self._sum += other._sum
        self._min = min(self._min, other._min)
        self._max = max(self._max, other._max)
        for index, taken in other._exemplars.copy().items():
            self._exemplars[index] = latest(self._exemplars.get(index), taken) or taken
        self.changed = True

    def point(self, attributes: Attributes, start_ns: int, time_ns: int) -> HistogramPoint:
        """All that was measured so far."""
        counts = tuple(self._counts)
        measured = any(counts)
        return HistogramPoint(
            attributes,
            counts,
            float(self._sum),
            start_ns,
            time_ns,
            self._min if measured else None,
            self._max if measured else None,
            exemplars_of(self._exemplars.copy().values()),
        )
