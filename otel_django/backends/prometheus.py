"""Reads metrics from Prometheus by its HTTP API.

Names and attributes are told from Prometheus's as far as they are this package's own; others are
shown as Prometheus has them. Prometheus keeps no start of a sum: one begins anew where it falls.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from otel_django.backends.prometheus_api import (
    SERVICE_LABELS,
    PrometheusApi,
    Series,
    attributes_of,
    bound_of,
    service_of,
)
from otel_django.backends.underscored import defined, definition, quoted
from otel_django.contracts import MetricAnswer, MetricInfo, MetricQuery, MetricSeries
from otel_django.metric_points import Exemplar, HistogramPoint, NumberPoint
from otel_django.metrics.prometheus_names import family_name, label_name, label_value

if TYPE_CHECKING:
    from otel_django.backends.remote import Remote
    from otel_django.metric_points import Kind, Point

SCRAPE_NS: Final = 15 * 10**9
MOST_SAMPLES: Final = 200
"""Without a step, samples as they are where a range has fewer at Prometheus's usual interval."""
SHOWN_NS: Final = 3_600 * 10**9
"""What had no sample for so long isn't listed."""
MAX_EXEMPLARS: Final = 20
_SUFFIXES: Final = ("", "_total", "_seconds", "_seconds_total", "_bytes", "_bytes_total", "_ratio")
_Key = tuple[tuple[str, str], ...]


class PrometheusReader:
    """A ``MetricReader``."""

    def __init__(self, remote: Remote) -> None:
        self._api = PrometheusApi(remote)
        self._names: frozenset[str] | None = None

    def list_metrics(self) -> tuple[MetricInfo, ...]:
        """Of the last hour, at most 5,000; attributes of the first 10,000 series."""
        now_ns = time.time_ns()
        keys: dict[str, set[str]] = {name: set() for name in self._api.names(now_ns - SHOWN_NS)}
        for labels in self._api.label_sets(now_ns - SHOWN_NS, now_ns):
            found = keys.setdefault(labels.get("__name__", ""), set())
            found.update(key for key, _ in attributes_of(labels))
        infos: dict[str, MetricInfo] = {}
        for name, attributes in keys.items():
            family, kind = _family(name, keys)
            if family:
                info = _info(family, kind, tuple(sorted(attributes)))
                infos.setdefault(info.name, info)
        return tuple(infos[name] for name in sorted(infos))

    def series_count(self, query: MetricQuery) -> int:
        """A histogram's buckets count as one."""
        family, kind = self._known(query.name)
        name = f"{family}_count" if kind == "histogram" else family
        found = self._api.instant(
            f"count(last_over_time({_selector(name, query)}[{_length(query)}]))", query.until_ns
        )
        return round(found[0].samples[0][1]) if found else 0

    def read(self, query: MetricQuery) -> MetricAnswer:
        """Of a step, the last value."""
        self._api.partial = ""
        family, kind = self._known(query.name)
        if not family:
            return MetricAnswer(None, (), self._api.partial)
        read = self._histogram if kind == "histogram" else self._numbers
        series, note = read(family, query)
        note = note or self._api.partial
        if not series:
            return MetricAnswer(None, (), note)
        keys = sorted({key for each in series for key, _ in each.attributes})
        return MetricAnswer(_info(family, kind, tuple(keys)), tuple(series), note)

    # --- names

    def _known(self, name: str) -> tuple[str, Kind]:
        """What Prometheus calls it, without what a histogram's parts have behind; empty: unknown.

        Without asking for names of this package's.
        """
        known = definition(name)
        if known is not None:
            family = family_name(known.name, known.unit, known.kind)
            if known.kind == "counter":
                return f"{family}_total", "counter"
            kind: Kind = "histogram" if known.kind == "exponential_histogram" else known.kind
            return family, kind
        if self._names is None:
            self._names = frozenset(self._api.names())
        plain = label_name(name)
        for suffix in _SUFFIXES:
            found = f"{plain}{suffix}"
            if f"{found}_bucket" in self._names:
                return found, "histogram"
            if found in self._names:
                return _family(found, self._names)
        return "", "gauge"

    # --- values

    def _numbers(self, family: str, query: MetricQuery) -> tuple[list[MetricSeries], str]:
        found, note = _largest(self._samples(_selector(family, query), query), query.max_series)
        kind = _family(family, ())[1]
        return [_numbered(each, sums=kind == "counter") for each in found], note

    def _histogram(self, family: str, query: MetricQuery) -> tuple[list[MetricSeries], str]:
        counted = self._samples(_selector(f"{family}_count", query), query)
        shown, note = _largest(counted, query.max_series)
        buckets: dict[_Key, dict[float, dict[int, float]]] = {}
        for each in self._samples(_selector(f"{family}_bucket", query), query):
            if (bound := bound_of(each.labels)) is None:
                continue
            buckets.setdefault(_key(each.labels), {})[bound] = dict(each.samples)
        sums = {
            _key(each.labels): dict(each.samples)
            for each in self._samples(_selector(f"{family}_sum", query), query)
        }
        told = self._exemplars(f"{family}_bucket", query)
        made = (
            _bucketed(each, buckets.get(_key(each.labels), {}), sums.get(_key(each.labels), {}))
            for each in shown
        )
        return [_with_exemplars(each, told) for each in made], note

    def _samples(self, selector: str, query: MetricQuery) -> list[Series]:
        """As they are, or one for each step: the last one of it."""
        span_ns = max(0, query.until_ns - query.since_ns)
        step_ns = query.step_ns or (
            0 if span_ns <= MOST_SAMPLES * SCRAPE_NS else max(SCRAPE_NS, span_ns // MOST_SAMPLES)
        )
        if not step_ns:
            # The range's beginning doesn't belong to it.
            length_ms = span_ns // 1_000_000 + 1
            return self._api.instant(f"{selector}[{length_ms}ms]", query.until_ns)
        last_ns = query.until_ns // step_ns * step_ns + step_ns - 1_000_000
        first_ns = query.since_ns // step_ns * step_ns + step_ns - 1_000_000
        inner = f"last_over_time({selector}[{step_ns // 1_000_000}ms])"
        found = self._api.range(inner, first_ns, last_ns, step_ns)
        until_ms = query.until_ns // 1_000_000
        return [
            Series(each.labels, [(min(at, until_ms), value) for at, value in each.samples])
            for each in found
        ]

    def _exemplars(self, name: str, query: MetricQuery) -> dict[_Key, list[Exemplar]]:
        found: dict[_Key, list[Exemplar]] = {}
        selector = _selector(name, query)
        for each in self._api.exemplars(selector, query.since_ns, query.until_ns):
            made = list(_told(each))[-MAX_EXEMPLARS:]
            found.setdefault(_key(each.get("seriesLabels") or {}), []).extend(made)
        return found


def _family(name: str, others: Mapping[str, Any] | frozenset[str] | tuple[()]) -> tuple[str, Kind]:
    """What a name belongs to; empty for a histogram's other parts."""
    for suffix in ("_bucket", "_sum", "_count"):
        family = name.removesuffix(suffix)
        if family != name and f"{family}_bucket" in others:
            return (family if suffix == "_count" else ""), "histogram"
    if name.endswith("_total"):
        return name, "counter"
    known = defined(name)
    return name, known.kind if known is not None and known.kind != "counter" else "gauge"


def _info(family: str, kind: Kind, keys: tuple[str, ...]) -> MetricInfo:
    known = defined(family.removesuffix("_total"))
    if known is None:
        return MetricInfo(family, "", "", kind, keys)
    return MetricInfo(known.name, known.unit, known.description, kind, keys)


def _selector(name: str, query: MetricQuery) -> str:
    matchers = [f"__name__={quoted(name)}"]
    matchers += [
        f"{label_name(key)}={quoted(label_value(value))}" for key, value in query.attributes.items()
    ]
    if query.service:
        matchers.append(service_matcher(query.service))
    return f"{{{','.join(matchers)}}}"


def service_matcher(service: str) -> str:
    """By ``job``, which of what came by OTLP always has the name, maybe its namespace in front."""
    return f"{SERVICE_LABELS[1]}=~{quoted(f'(.*/)?{re.escape(service)}')}"


def _length(query: MetricQuery) -> str:
    return f"{(query.until_ns - query.since_ns) // 1_000_000 + 1}ms"


def _key(labels: Mapping[str, str]) -> _Key:
    return tuple(
        sorted((key, value) for key, value in labels.items() if key not in ("le", "__name__"))
    )


def _largest(found: Sequence[Series], most: int) -> tuple[list[Series], str]:
    full = [each for each in found if each.samples]
    if len(full) <= most:
        return sorted(full, key=lambda each: (each.service, each.attributes, each.instance)), ""
    full.sort(key=lambda each: max(value for _, value in each.samples), reverse=True)
    return full[:most], f"the largest {most} of {len(full)} series"


def _number(value: float) -> int | float:
    return int(value) if abs(value) < 2**63 and value == int(value) else value


def _starts(values: Sequence[float], times: Sequence[int]) -> Iterator[int]:
    """When the sum that each belongs to began, in nanoseconds; 0: before all of them."""
    start_ns = 0
    yield start_ns
    for (before, value), earlier_ms in zip(pairwise(values), times, strict=False):
        if value < before:
            start_ns = earlier_ms * 1_000_000 + 1
        yield start_ns


def _numbered(found: Series, *, sums: bool) -> MetricSeries:
    times = [at for at, _ in found.samples]
    values = [value for _, value in found.samples]
    starts = _starts(values, times) if sums else iter([0] * len(times))
    points: list[Point] = [
        NumberPoint(found.attributes, _number(value), start_ns, at * 1_000_000)
        for at, value, start_ns in zip(times, values, starts, strict=True)
    ]
    return MetricSeries(found.service, found.instance, found.attributes, tuple(points))


def _bucketed(
    counted: Series, buckets: Mapping[float, Mapping[int, float]], sums: Mapping[int, float]
) -> MetricSeries:
    bounds = sorted(bound for bound in buckets if math.isfinite(bound))
    points = []
    starts = _starts([value for _, value in counted.samples], [at for at, _ in counted.samples])
    for (at, count), start_ns in zip(counted.samples, starts, strict=True):
        below = [buckets[bound].get(at, 0.0) for bound in bounds]
        above = [*below, count]
        counts = [after - before for before, after in pairwise([0.0, *above])]
        points.append(
            HistogramPoint(
                counted.attributes,
                tuple(max(0, round(each)) for each in counts),
                sums.get(at, 0.0),
                start_ns,
                at * 1_000_000,
            )
        )
    return MetricSeries(
        counted.service, counted.instance, counted.attributes, tuple(points), tuple(bounds)
    )


def _with_exemplars(series: MetricSeries, told: Mapping[_Key, list[Exemplar]]) -> MetricSeries:
    """Each with the first point after it."""
    own = [
        each for key, exemplars in told.items() if _same(series, dict(key)) for each in exemplars
    ]
    if not own:
        return series
    points: list[Any] = []
    before_ns = 0
    for point in series.points:
        within = [each for each in own if before_ns < each.time_ns <= point.time_ns]
        points.append(point._replace(exemplars=tuple(within)))
        before_ns = point.time_ns
    return MetricSeries(
        series.service, series.instance, series.attributes, tuple(points), series.bounds
    )


def _same(series: MetricSeries, labels: Mapping[str, str]) -> bool:
    return service_of(labels) == series.service and attributes_of(labels) == series.attributes


def _told(found: Mapping[str, Any]) -> Iterator[Exemplar]:
    for each in found.get("exemplars") or ():
        labels = each.get("labels") or {}
        try:
            yield Exemplar(
                float(each["value"]),
                round(float(each["timestamp"]) * 1e9),
                int(labels.get("trace_id") or "0", 16),
                int(labels.get("span_id") or "0", 16),
            )
        except (KeyError, OverflowError, TypeError, ValueError):
            continue
