"""Looks for a probe where it should come to light, until it is there or the time is up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otel_django import metric_definitions
from otel_django.contracts import LogQuery, MetricQuery
from otel_django.doctor.finding import Finding
from otel_django.errors import ReadError

if TYPE_CHECKING:
    from otel_django.contracts import LogReader, MetricReader, TraceReader
    from otel_django.doctor.probe import Probe

PAUSE_S: Final = 0.5
_NS_PER_S: Final = 1_000_000_000
_AROUND_NS: Final = 3600 * _NS_PER_S
"""Clocks may differ: that is told elsewhere."""


@dataclass(frozen=True)
class Trail:
    """``look`` says whether the probe's ``signal`` is to be seen at ``place``, or raises ReadError.

    ``variable`` is what says where to look.
    """

    signal: str
    place: str
    variable: str
    look: Callable[[], bool]


def follow(trails: Sequence[Trail], wait_s: float) -> Iterator[Finding]:
    """One finding a trail, in the order in which it is known."""
    began_s = time.monotonic()
    left, failed = list(trails), dict[str, str]()
    while left:
        for trail in tuple(left):
            try:
                seen = trail.look()
                failed.pop(trail.place, None)
            except ReadError as error:
                seen = False
                failed[trail.place] = str(error)
            if seen:
                left.remove(trail)
                yield _seen(trail, time.monotonic() - began_s)
        if time.monotonic() - began_s >= wait_s:
            break
        if left:
            time.sleep(PAUSE_S)
    for trail in left:
        yield _missed(trail, failed.get(trail.place), wait_s)


def answers(trail: Trail) -> Finding:
    """Whether that place can be asked at all, where no probe is on its way there."""
    try:
        trail.look()
    except ReadError as error:
        return _missed(trail, str(error), 0.0)
    observed = {"place": trail.place}
    return Finding(trail.signal, "ok", f"{trail.place} answers.", observed=observed)


def _seen(trail: Trail, after_s: float) -> Finding:
    return Finding(
        trail.signal,
        "ok",
        f"The probe is to be seen in {trail.place}, {after_s:.1f} s after it was sent.",
        observed={"place": trail.place, "seen_after_s": round(after_s, 2)},
    )


def _missed(trail: Trail, error: str | None, waited_s: float) -> Finding:
    observed = {"place": trail.place, "waited_s": waited_s}
    if error is not None:
        return Finding(
            trail.signal,
            "fault",
            f"{trail.place} can't be asked: {error}",
            f"Start it, or name it in {trail.variable}. What was sent waits in the Collector, if "
            "that keeps a queue.",
            {**observed, "error": error},
        )
    return Finding(
        trail.signal,
        "fault",
        f"The receiver took the probe, but {trail.place} doesn't have it after {waited_s:.0f} s.",
        f"In the Collector's log, look for the exporter of {trail.signal}: which one it is, where "
        f"it sends to, what is refused. {trail.variable} may also name another {trail.place}.",
        observed,
    )


def trace_trail(probe: Probe, reader: TraceReader, place: str, variable: str) -> Trail:
    """The span, by its trace's id."""

    def look() -> bool:
        return reader.get_trace(probe.trace_id.hex()) is not None

    return Trail("traces", place, variable, look)


def log_trail(probe: Probe, reader: LogReader, place: str, variable: str) -> Trail:
    """The record, by its trace's id."""
    query = LogQuery(
        since_ns=probe.made_ns - _AROUND_NS,
        until_ns=probe.made_ns + _AROUND_NS,
        trace_id=probe.trace_id.hex(),
        limit=1,
    )
    return Trail("logs", place, variable, lambda: bool(reader.list_logs(query).rows))


def metric_trail(probe: Probe, reader: MetricReader, place: str, variable: str) -> Trail:
    """The point, by its value: an older probe's is smaller."""

    def look() -> bool:
        query = MetricQuery(
            name=metric_definitions.DOCTOR_PROBE.name,
            since_ns=probe.made_ns - _AROUND_NS,
            until_ns=time.time_ns() + 60 * _NS_PER_S,
        )
        return any(
            getattr(point, "value", 0) >= probe.value
            for series in reader.read(query).series
            for point in series.points
        )

    return Trail("metrics", place, variable, look)
