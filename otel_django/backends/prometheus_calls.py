"""Requests and tasks over time, from the histograms that Prometheus has of their durations.

How much a sum has grown is counted as it is, not extrapolated: from the sample before, which may be
an hour old, and from nothing where there was none or the sum began anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from otel_django import names
from otel_django.backends.embedded_roll_ups import MINUTE_NS, Steps
from otel_django.backends.prometheus import service_matcher
from otel_django.backends.prometheus_api import SERVICE_LABELS, PrometheusApi, bound_of, service_of
from otel_django.backends.underscored import quoted
from otel_django.contracts import OperationStats
from otel_django.errors import UnansweredError
from otel_django.metric_definitions import HTTP_SERVER_REQUEST_DURATION, MESSAGING_PROCESS_DURATION
from otel_django.metrics.prometheus_names import family_name, label_name
from otel_django.roll_ups import Moment, Timeline

if TYPE_CHECKING:
    from otel_django.backends.remote import Remote
    from otel_django.metric_points import MetricDefinition

MAX_OPERATIONS: Final = 500
MAX_COURSES: Final = 500
TOTAL_PARTS: Final = 60
NO_STATEMENTS: Final = (
    "Prometheus knows no statements: they are in single traces, and in the embedded store"
)
_METHOD, _ROUTE, _TASK, _ERROR = map(
    label_name,
    (
        names.HTTP_REQUEST_METHOD,
        names.HTTP_ROUTE,
        names.CELERY_TASK_NAME,
        names.ERROR_TYPE,
    ),
)
_GROUP: Final = ", ".join((*SERVICE_LABELS, _METHOD, _ROUTE, _TASK))
Kind = Literal["all", "requests", "tasks"]


class _Family(NamedTuple):
    kind: Kind
    name: str


def _family(kind: Kind, metric: MetricDefinition) -> _Family:
    return _Family(kind, family_name(metric.name, metric.unit, metric.kind))


_FAMILIES: Final = (
    _family("requests", HTTP_SERVER_REQUEST_DURATION),
    _family("tasks", MESSAGING_PROCESS_DURATION),
)


class _Calls:
    """Counts by upper bound in seconds, failures and time of calls."""

    def __init__(self) -> None:
        self.below: dict[float, float] = {}
        self.errors = self.seconds = 0.0

    @property
    def count(self) -> int:
        return round(self.below.get(math.inf, 0.0))

    def add(self, part: str, bound: float | None, value: float) -> None:
        if part == "bucket":
            if bound is not None:
                self.below[bound] = self.below.get(bound, 0.0) + value
        elif part == "errors":
            self.errors += value
        else:
            self.seconds += value

    def percentile_ns(self, share: float) -> int:
        """Within its bucket as if all there were evenly spread; at most the last bound."""
        wanted = share * self.below.get(math.inf, 0.0)
        lower, before = 0.0, 0.0
        for bound in sorted(self.below):
            held = self.below[bound]
            if held >= wanted:
                if not math.isfinite(bound) or held <= before:
                    return round(lower * 1e9)
                inside = (wanted - before) / (held - before)
                return round((lower + (bound - lower) * inside) * 1e9)
            lower, before = bound, held
        return round(lower * 1e9)

    def moment(self, start_ns: int) -> Moment:
        if not self.count:
            return Moment(start_ns)
        p50, p95, p99 = (self.percentile_ns(share) for share in (0.5, 0.95, 0.99))
        errors, duration_ns = round(self.errors), round(self.seconds * 1e9)
        return Moment(start_ns, self.count, errors, duration_ns, p50, p95, p99)


class PrometheusCallsReader:
    """A ``TimelineReader``, and the ``OperationReader`` of endpoints.

    Percentiles are within the bucket that the true one is in. Other things that processes begin
    than requests and tasks aren't known.
    """

    def __init__(self, remote: Remote) -> None:
        self._api = PrometheusApi(remote)

    # --- OperationReader

    def endpoints(self, since_ns: int, until_ns: int) -> tuple[OperationStats, ...]:
        """Requests and tasks by service and name; the 500 with most time spent."""
        whole = _Whole.of(Steps(since_ns, until_ns, max(until_ns - since_ns, MINUTE_NS)))
        found: dict[tuple[str, str, str], _Calls] = {}
        for family in _FAMILIES:
            for part, selector in _parts(family, "", None):
                query = f"sum by ({_GROUP}, le) ({whole.growth(selector)})"
                for each in self._api.instant(query, whole.at_ns):
                    key = (service_of(each.labels), *_named(family, each.labels))
                    calls = found.setdefault(key, _Calls())
                    calls.add(part, bound_of(each.labels), each.samples[0][1])
        most = sorted(found, key=lambda key: -found[key].seconds)[:MAX_OPERATIONS]
        return tuple(_stats(*key, found[key]) for key in most if found[key].count)

    def statements(self, since_ns: int, until_ns: int) -> tuple[OperationStats, ...]:
        """None are known."""
        raise UnansweredError(NO_STATEMENTS)

    # --- TimelineReader

    def requests(
        self,
        since_ns: int,
        until_ns: int,
        step_ns: int,
        service: str | None = None,
        name: str | None = None,
        kind: Kind = "all",
    ) -> Timeline:
        """At most 2,000 steps: the last ones."""
        steps = Steps(since_ns, until_ns, step_ns)
        whole = None if _are_whole(steps) else _Whole.of(steps)
        found: dict[int, _Calls] = {}
        total = _Calls()
        self._api.partial = ""
        for family in _FAMILIES:
            if kind not in ("all", family.kind) or (where := _where(family, name)) is None:
                continue
            for part, selector in _parts(family, where, service):
                query = f"sum by (le) ({_growth(selector, steps.step_ns)})"
                for labels, at, value in self._by_step(query, steps):
                    found.setdefault(at, _Calls()).add(part, bound_of(labels), value)
                    if whole is None:
                        total.add(part, bound_of(labels), value)
                if whole is not None:
                    for each in self._api.instant(
                        f"sum by (le) ({whole.growth(selector)})", whole.at_ns
                    ):
                        total.add(part, bound_of(each.labels), each.samples[0][1])
        moments = tuple(found.get(at, _Calls()).moment(steps.start_ns(at)) for at in steps.numbers)
        all_ = total.moment(moments[0].start_ns)
        return Timeline(steps.step_ns, moments, all_, self._api.partial)

    def courses(
        self, since_ns: int, until_ns: int, step_ns: int
    ) -> dict[tuple[str, str], tuple[int, ...]]:
        """Of the 500 that were called most."""
        steps = Steps(since_ns, until_ns, step_ns)
        found: dict[tuple[str, str], dict[int, float]] = {}
        for family in _FAMILIES:
            selector = f"{family.name}_count"
            query = f"sum by ({_GROUP}) ({_growth(selector, steps.step_ns)})"
            for labels, at, value in self._by_step(query, steps):
                course = found.setdefault((service_of(labels), _named(family, labels)[0]), {})
                course[at] = course.get(at, 0.0) + value
        most = sorted(found, key=lambda key: -sum(found[key].values()))[:MAX_COURSES]
        return {key: tuple(round(found[key].get(at, 0.0)) for at in steps.numbers) for key in most}

    def _by_step(self, query: str, steps: Steps) -> Iterator[tuple[Mapping[str, str], int, float]]:
        """What grew until a step's end belongs to it."""
        first_ns = steps.start_ns(steps.numbers[0] + 1)
        for each in self._api.range(query, first_ns, _end_ns(steps), steps.step_ns):
            for at_ms, value in each.samples:
                yield each.labels, at_ms * 1_000_000 // steps.step_ns - 1, value


def _end_ns(steps: Steps) -> int:
    return steps.start_ns(steps.numbers[-1] + 1)


def _parts(family: _Family, where: str, service: str | None) -> Iterator[tuple[str, str]]:
    """What is asked for, and its selector."""
    matchers = ",".join(filter(None, (where, service_matcher(service) if service else "")))
    failed = f'{_ERROR}!=""' + (f",{matchers}" if matchers else "")
    yield "bucket", f"{family.name}_bucket{{{matchers}}}"
    yield "errors", f"{family.name}_count{{{failed}}}"
    yield "sum", f"{family.name}_sum{{{matchers}}}"


class _Whole(NamedTuple):
    """All of a range but what its first and last step have beyond it, counted in 60 parts.

    Subqueries look at whole multiples of a part: at ``at_ns``, some seconds later than the range
    ends, at what was then.
    """

    part_s: int
    late_s: int
    at_ns: int

    @classmethod
    def of(cls, steps: Steps) -> _Whole:
        part_s = (steps.last + 1 - steps.asked) * 60 // TOTAL_PARTS
        end_s = (steps.last + 1) * 60
        at_s = -(-end_s // part_s) * part_s
        return cls(part_s, at_s - end_s, at_s * 10**9)

    def growth(self, selector: str) -> str:
        parts = _growth(selector, self.part_s * 10**9, self.late_s)
        return f"sum_over_time({parts}[{TOTAL_PARTS * self.part_s}s:{self.part_s}s])"


def _are_whole(steps: Steps) -> bool:
    """Whether nothing of them is beyond the range."""
    return steps.first == steps.asked and not (steps.last + 1) % steps.minutes


def _growth(selector: str, step_ns: int, late_s: int = 0) -> str:
    step_s = step_ns // 10**9
    # Not the value at the step's end: what ended some minutes before has none there.
    last = f"last_over_time({selector}[{step_s}s] offset {late_s}s)"
    before = f"last_over_time({selector}[1h] offset {late_s + step_s}s)"
    # Without their names, which the first part has lost, both are one series.
    return f"(({last} - {before} >= 0) or ({last} + 0))"


def _named(family: _Family, labels: Mapping[str, str]) -> tuple[str, str]:
    """Name and route, as spans have them."""
    if family.kind == "tasks":
        name = f"process {labels.get(_TASK, '')}".strip()
        return name, name
    method, route = labels.get(_METHOD, ""), labels.get(_ROUTE, "")
    name = f"{method} {route}".strip()
    return name, route or name


def _where(family: _Family, name: str | None) -> str | None:
    """Matchers of a name; None: the family has no such names."""
    if name is None:
        return ""
    if family.kind == "tasks":
        task = name.removeprefix("process ")
        return f"{_TASK}={quoted(task)}" if task != name else None
    method, _, route = name.partition(" ")
    if method == "process" or not method.isupper():
        return None
    return f"{_METHOD}={quoted(method)},{_ROUTE}={quoted(route)}"


def _stats(service: str, name: str, route: str, calls: _Calls) -> OperationStats:
    p50, p95, p99 = (calls.percentile_ns(share) for share in (0.5, 0.95, 0.99))
    return OperationStats(
        service,
        name,
        route,
        calls.count,
        round(calls.errors),
        round(calls.seconds * 1e9),
        p50,
        p95,
        p99,
    )
