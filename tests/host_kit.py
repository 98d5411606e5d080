"""Stand-ins for the processes of a host: each with a recorder and a file, in one test process.

A file's lock belongs to the open file, so they see each other as processes do; ``kill`` leaves the
file as SIGKILL would.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from otel_django.contracts import MetricSink
from otel_django.metric_points import Metric, MetricDefinition, Point, ResourceMetrics
from otel_django.metrics.exporting import Export
from otel_django.metrics.host import HostMetrics
from otel_django.metrics.host_folder import HostFolder
from otel_django.metrics.recorder import Recorder

REQUESTS = MetricDefinition("requests", "counter", "{request}", "Requests.", ("route",))
ACTIVE = MetricDefinition("active", "up_down_counter", "{request}", "Now.", ("route",))
TEMPERATURE = MetricDefinition("temperature", "gauge", "Cel", "Now.", ("room",))
DURATION = MetricDefinition("duration", "histogram", "s", "Time.", ("route",), (0.1, 1.0))


class SteppedClock:
    """Moves when it is told to, and by a microsecond at each look."""

    def __init__(self) -> None:
        self.s = 1_000.0
        self._began_ns = time.time_ns() - int(self.s * 1e9)

    def now_ns(self) -> int:
        self.s += 1e-6
        return self._began_ns + int(self.s * 1e9)

    def monotonic_s(self) -> float:
        return self.s


class Taken(MetricSink):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.data: list[Sequence[ResourceMetrics]] = []

    def take(self, data: Sequence[ResourceMetrics]) -> None:
        self.data.append(data)


def nothing() -> None:
    pass


class Process:
    """One process of a service; ``sink`` gets what it exports."""

    def __init__(
        self,
        path: Path,
        clock: SteppedClock,
        *,
        role: str = "web",
        limit: int = 2000,
        delta: bool = False,
        folder: bool = True,
        **recorder: Any,
    ) -> None:
        self.clock = clock
        self.sink = Taken()
        self.recorder = Recorder(
            clock=clock,
            cardinality_limit=limit,
            wake=self._measured,
            **recorder,
        )
        self.host = HostMetrics(
            self.recorder,
            role=role,
            open_folder=lambda: HostFolder(path, pause=nothing) if folder else None,
            resource_of=lambda role: {"role": role},
            alone=lambda role: {"role": role, "alone": True},
            exports=[Export("sink", self.sink, 60.0, delta)],
            limit=limit,
            clock=clock,
            pause=nothing,
            wake=nothing,
            on_fork=nothing,
        )

    def _measured(self) -> None:
        self.host.measured()

    def count(self, amount: float = 1, route: str = "/a/") -> None:
        """Requests that are shown to the others."""
        self.recorder.counter(REQUESTS).add(amount, (route,))
        self.host.flush()

    def poll(self, after_s: float = 0.0) -> float | None:
        self.clock.s += after_s
        return self.host.poll(self.clock.s)

    def kill(self) -> None:
        """As SIGKILL does: files are closed, and that is all."""
        self.host._leave()
        self.host._election.release()
        self.host._left = True

    def end(self) -> None:
        """An orderly exit."""
        self.host.close(self.clock.s + 2.0)


def metrics_of(data: Sequence[ResourceMetrics]) -> dict[str, Metric]:
    """By name, of one role."""
    return {metric.name: metric for part in data for metric in part.metrics}


def points(data: Sequence[ResourceMetrics], name: str) -> dict[Any, Point]:
    """A metric's points by the value of its only attribute."""
    metric = metrics_of(data).get(name)
    found = () if metric is None else metric.points
    return {dict(p.attributes).get("route") or p.attributes: p for p in found}


def sums(data: Sequence[ResourceMetrics], name: str = "requests") -> dict[Any, Any]:
    """A counter's values."""
    return {key: getattr(point, "value", None) for key, point in points(data, name).items()}
