"""Looks for a probe where it should come to light, until it is there or the time is up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

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
_NOT_LET_IN: Final = ("(status 401)", "(status 403)")


@dataclass(frozen=True)
class Trail:
    """``look`` says whether the probe's ``signal`` is to be seen at ``place``, or raises ReadError.

    ``variable`` is what says where to look, ``trace_id`` is the probe's. ``proxy`` is the host:port
    of the one that ``host`` is asked through; ``tenant`` the variable of the tenant that is asked
    for, if there is one.
    """

    signal: str
    place: str
    variable: str
    look: Callable[[], bool]
    trace_id: str = ""
    host: str = ""
    proxy: str = ""
    tenant: str = ""

    @property
    def observed(self) -> dict[str, Any]:
        """What every finding about it has."""
        return {"place": self.place, "trace_id": self.trace_id}


def follow(trails: Sequence[Trail], wait_s: float, *, clock_off: bool = False) -> Iterator[Finding]:
    """One finding a trail, in the order in which it is known.

    With ``clock_off`` that is what keeps a probe from being seen.
    """
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
        why = failed.get(trail.place)
        yield _unseen(trail, wait_s, clock_off) if why is None else _unasked(trail, why)


def answers(trail: Trail) -> Finding:
    """Whether that place can be asked at all, where no probe is on its way there."""
    try:
        trail.look()
    except ReadError as error:
        return _unasked(trail, str(error))
    return Finding(trail.signal, "ok", f"{trail.place} answers.", observed=trail.observed)


def _seen(trail: Trail, after_s: float) -> Finding:
    return Finding(
        trail.signal,
        "ok",
        f"The probe was found in {trail.place}, {after_s:.1f} s after it was sent.",
        observed={**trail.observed, "seen_after_s": round(after_s, 2)},
    )


def _unseen(trail: Trail, waited_s: float, clock_off: bool) -> Finding:
    place, signal = trail.place, trail.signal
    tenant = f", {trail.tenant} another tenant than the Collector's" if trail.tenant else ""
    cure = (
        "See in the Collector's own metrics (port 8888, otelcol_exporter_queue_size) whether it "
        f"waits there for {place}, which then can't be reached from there, and in its log whether "
        f"{place} refuses it. {trail.variable} may also name another {place}{tenant}."
    )
    if clock_off:
        cure = f"Set the clock first: {place} refuses what is too old or in the future."
    return Finding(
        signal,
        "fault",
        f"The receiver took the probe, but {place} doesn't have it after {waited_s:.0f} s.",
        cure,
        {**trail.observed, "waited_s": waited_s},
    )


def _unasked(trail: Trail, error: str) -> Finding:
    text = error if error.endswith("?") else f"{error}."
    cure = _cure_for_asking(trail, error)
    return Finding(trail.signal, "fault", text, cure, {**trail.observed, "error": error})


def _cure_for_asking(trail: Trail, error: str) -> str:
    place, variable = trail.place, trail.variable
    if any(status in error for status in _NOT_LET_IN):
        headers = f"OTEL_DJANGO_READ_FROM_HEADERS_{place.upper()}"
        tenant = "" if place == "Jaeger" else ", or its tenant in OTEL_DJANGO_READ_FROM_TENANT"
        return f"Give the credentials that {place} asks for in {headers}{tenant}."
    if "status" in error or "answer" in error:
        return f"Name the address of {place}'s own API in {variable}."
    if "can't look up" in error:
        return f"Correct the host name in {variable}."
    if trail.proxy:
        return (
            f"It is asked through the proxy {trail.proxy}: add {trail.host} to no_proxy in the "
            "site's environment, if it is to be asked directly."
        )
    return (
        f"Start {place}, or name where it is in {variable}. Until it is back, what was sent waits "
        "in the Collector's queue."
    )


def trace_trail(probe: Probe, reader: TraceReader, place: str, variable: str) -> Trail:
    """The span, by its trace's id."""

    def look() -> bool:
        return reader.get_trace(probe.trace_id.hex()) is not None

    return Trail("traces", place, variable, look, probe.trace_id.hex())


def log_trail(probe: Probe, reader: LogReader, place: str, variable: str) -> Trail:
    """The record, by its trace's id."""
    query = LogQuery(
        since_ns=probe.made_ns - _AROUND_NS,
        until_ns=probe.made_ns + _AROUND_NS,
        trace_id=probe.trace_id.hex(),
        limit=1,
    )

    def look() -> bool:
        return bool(reader.list_logs(query).rows)

    return Trail("logs", place, variable, look, probe.trace_id.hex())


def metric_trail(probe: Probe, reader: MetricReader, place: str, variable: str) -> Trail:
    """The point, by its value: each probe has another one."""

    def look() -> bool:
        query = MetricQuery(
            name=metric_definitions.DOCTOR_PROBE.name,
            since_ns=probe.made_ns - _AROUND_NS,
            until_ns=time.time_ns() + 60 * _NS_PER_S,
        )
        return any(
            getattr(point, "value", 0) == probe.value
            for series in reader.read(query).series
            for point in series.points
        )

    return Trail("metrics", place, variable, look, probe.trace_id.hex())
