"""Metric families of a page: what the texts for Prometheus are written from.

A host's roles are one set of series: counters, histograms and up-down counters are added, of
gauges the newest value stands. Exponential histograms become explicit ones at powers of two, which
every scale from 0 up has among its own bounds, so that their counts are exact and never fall.
"""

from __future__ import annotations

import logging
import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from otel_django import guard, names
from otel_django.metric_points import (
    Exemplar,
    ExponentialPoint,
    HistogramPoint,
    Kind,
    Metric,
    NumberPoint,
    Point,
    ResourceMetrics,
    Scope,
)
from otel_django.metrics import prometheus_names

if TYPE_CHECKING:
    from otel_django.metrics.prometheus_names import Labels

FamilyKind = Literal["counter", "gauge", "histogram", "info"]

_logger = logging.getLogger(guard.LOGGER_NAME)
_said: set[str] = set()

_POWERS = {"s": range(-10, 6), "By": range(4, 36, 2)}
"""1 ms to 32 s, 16 bytes to 16 GiB: the same for all series, so that they can be added."""
_OTHER_POWERS = range(-10, 22, 2)
_OF_ONE_ROLE = frozenset([names.SERVICE_INSTANCE_ID, names.PROCESS_ROLE])
_SUFFIXES: dict[FamilyKind, tuple[str, ...]] = {
    "counter": ("", "_total"),
    "gauge": ("",),
    "histogram": ("", "_bucket", "_sum", "_count"),
    "info": ("", "_info"),
}


@dataclass(slots=True)
class Number:
    """A counter's or gauge's value."""

    value: int | float
    time_ns: int
    exemplar: Exemplar | None = None


@dataclass(slots=True)
class Buckets:
    """``counts`` has one more than the family's ``bounds``; an exemplar by its bucket's index."""

    counts: list[int]
    sum: float
    exemplars: dict[int, Exemplar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Source:
    """A metric on its way to a page, its attributes being labels already.

    ``adds`` says that points with equal labels are summed; else the newest counts.
    """

    name: str
    kind: FamilyKind
    unit: str
    help: str
    adds: bool
    points: Sequence[tuple[Labels, Point]]
    bounds: tuple[float, ...] = ()


@dataclass(slots=True)
class Family:
    """One metric of a page, without a counter's ``_total`` in its name."""

    name: str
    kind: FamilyKind
    unit: str
    help: str
    bounds: tuple[float, ...] = ()
    numbers: dict[Labels, Number] = field(default_factory=dict)
    histograms: dict[Labels, Buckets] = field(default_factory=dict)

    def add(self, source: Source) -> None:
        """Join the source's points with what is here; ``bounds`` are among the source's."""
        for labels, point in source.points:
            if isinstance(point, NumberPoint):
                self._add_number(labels, point, source.adds)
            else:
                self._add_histogram(labels, point, source.bounds)

    def _add_number(self, labels: Labels, point: NumberPoint, adds: bool) -> None:
        exemplar = _newest(point.exemplars)
        known = self.numbers.get(labels)
        if known is None:
            self.numbers[labels] = Number(point.value, point.time_ns, exemplar)
        elif adds:
            known.value += point.value
            known.exemplar = _newer(known.exemplar, exemplar)
        elif point.time_ns >= known.time_ns:
            self.numbers[labels] = Number(point.value, point.time_ns, exemplar)

    def _add_histogram(
        self, labels: Labels, point: HistogramPoint | ExponentialPoint, bounds: tuple[float, ...]
    ) -> None:
        known = self.histograms.get(labels)
        if known is None:
            known = self.histograms[labels] = Buckets([0] * (len(self.bounds) + 1), 0.0)
        for upper, count in upper_bounds(point, bounds):
            known.counts[bisect_left(self.bounds, upper)] += count
        known.sum += point.sum
        for exemplar in point.exemplars:
            index = bisect_left(self.bounds, exemplar.value)
            newer = _newer(known.exemplars.get(index), exemplar)
            if newer is not None:
                known.exemplars[index] = newer


def from_metrics(data: Iterable[ResourceMetrics]) -> Iterator[Source]:
    """Every metric under its OpenTelemetry name, as Prometheus writes it."""
    for resource in data:
        for metric in resource.metrics:
            name = prometheus_names.family_name(metric.name, metric.unit, metric.kind)
            if name:
                yield _source(name, metric)


def _source(name: str, metric: Metric) -> Source:
    kind = family_kind(metric.kind)
    scope = _scope_labels(metric.scope)
    return Source(
        name,
        kind,
        _unit(name, metric.unit),
        metric.description,
        metric.kind != "gauge",
        [
            (
                _with(
                    scope,
                    prometheus_names.labels(point.attributes, of_histogram=kind == "histogram"),
                ),
                point,
            )
            for point in metric.points
        ],
        bucket_bounds(metric),
    )


def family_kind(kind: Kind) -> FamilyKind:
    """What Prometheus calls it."""
    if kind == "counter":
        return "counter"
    return "histogram" if kind in {"histogram", "exponential_histogram"} else "gauge"


def bucket_bounds(metric: Metric) -> tuple[float, ...]:
    """The upper bounds that a histogram is shown with."""
    if metric.kind == "exponential_histogram":
        return powers_of_two(metric.unit)
    return metric.bounds


def powers_of_two(unit: str) -> tuple[float, ...]:
    """The upper bounds that exponential histograms are shown with."""
    return tuple(math.ldexp(1.0, power) for power in _POWERS.get(unit, _OTHER_POWERS))


def target_info(data: Sequence[ResourceMetrics]) -> Family | None:
    """What all roles have in common: service, version, environment, host.

    The roles themselves are left out, so that it is the same when another one joins.
    """
    if not data:
        return None
    first, *others = (resource.resource for resource in data)
    common = tuple(
        (key, value)
        for key, value in first.items()
        if key not in _OF_ONE_ROLE and all(other.get(key) == value for other in others)
    )
    labels = prometheus_names.labels(common)
    family = Family("target", "info", "", "What is measured")
    family.numbers[labels] = Number(1, 0)
    return family


def gather(sources: Iterable[Source]) -> list[Family]:
    """Families by name; where names clash, the first stays and the other is said once.

    Two metrics of one name and kind are one family, with the bounds that both have.
    """
    together: dict[str, list[Source]] = {}
    taken: dict[str, str] = {"target_info": "target", "target": "target"}
    for source in sources:
        mates = together.get(source.name)
        if mates is not None and mates[0].kind == source.kind:
            mates.append(source)
            continue
        samples = [f"{source.name}{suffix}" for suffix in _SUFFIXES[source.kind]]
        clash = next((taken[sample] for sample in samples if sample in taken), None)
        if clash is not None:
            _say_clash(source.name, clash)
            continue
        together[source.name] = [source]
        taken.update(dict.fromkeys(samples, source.name))
    return [_family(together[name]) for name in sorted(together)]


def _family(sources: Sequence[Source]) -> Family:
    first = sources[0]
    bounds = first.bounds
    if any(source.bounds != bounds for source in sources):
        bounds = tuple(sorted(set(bounds).intersection(*(source.bounds for source in sources))))
    family = Family(first.name, first.kind, first.unit, first.help, bounds)
    for source in sources:
        family.add(source)
    return family


def _say_clash(name: str, other: str) -> None:
    if name not in _said:
        _said.add(name)
        _logger.warning(
            "The metric %s isn't shown to Prometheus: %s has the same name there. Rename one.",
            name,
            other,
        )


def _unit(name: str, unit: str) -> str:
    """The unit that OpenMetrics may state: it must be the end of the name."""
    word = "_per_".join(filter(None, prometheus_names.unit_words(unit)))
    return word if word and name.endswith(f"_{word}") else ""


def _scope_labels(scope: Scope) -> Labels:
    if scope.name == names.SCOPE:
        return ()
    given = {"name": scope.name, "version": scope.version, "schema_url": scope.schema_url}
    given |= {
        prometheus_names.label_name(key): prometheus_names.label_value(value)
        for key, value in scope.attributes
        if key not in given
    }
    return tuple((f"otel_scope_{key}", value) for key, value in given.items() if value)


def _with(scope: Labels, labels: Labels) -> Labels:
    return tuple(sorted({**dict(scope), **dict(labels)}.items())) if scope else labels


def upper_bounds(
    point: HistogramPoint | ExponentialPoint, bounds: tuple[float, ...]
) -> Iterator[tuple[float, int]]:
    """(upper bound, count) of every bucket that isn't empty."""
    if isinstance(point, HistogramPoint):
        for upper, count in zip((*bounds, math.inf), point.counts, strict=True):
            if count:
                yield upper, count
        return
    if point.zero_count:
        yield 0.0, point.zero_count
    for index, count in enumerate(point.positive):
        if count:
            yield _power(point.scale, point.positive_offset + index + 1), count
    for index, count in enumerate(point.negative):
        if count:
            yield -_power(point.scale, point.negative_offset + index), count


def _power(scale: int, index: int) -> float:
    exponent = math.ldexp(index, -scale)
    return math.inf if exponent >= 1024 else 2.0**exponent


def _newest(exemplars: Iterable[Exemplar]) -> Exemplar | None:
    return max(exemplars, key=lambda exemplar: exemplar.time_ns, default=None)


def _newer(one: Exemplar | None, other: Exemplar | None) -> Exemplar | None:
    if one is None or (other is not None and other.time_ns >= one.time_ns):
        return other
    return one
