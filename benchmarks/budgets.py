"""What the package may cost at most, and whether a run kept to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.contestants import (
    BARE_PROBES,
    CONTRIB_LOGS,
    CONTRIB_SIGNALS,
    CONTRIB_TASKS,
    CONTRIB_TRACES,
    OWN,
    OWN_LOGS,
    OWN_METRICS,
    OWN_OFF,
    OWN_PROBES,
    OWN_REQUEST_LOG,
    OWN_SIGNALS,
    OWN_TASKS,
    PROMETHEUS,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.figures import Results


@dataclass(frozen=True)
class Budget:
    what: str
    limit: float
    unit: str
    measured: Callable[[Results], float | None]
    is_sound: Callable[[Results], bool] = lambda _: True

    def verdict(self, results: Results) -> str:
        """Met, missed, or why that can't be said."""
        value = self.measured(results)
        if value is None:
            return "not measured"
        if not self.is_sound(results):
            return "machine too busy"
        return "met" if value <= self.limit else "missed"


BUDGETS = (
    Budget(
        "traces alone, trivial request: share of what contrib adds",
        0.1,
        "×",
        lambda results: results.added_ratio(OWN.name, CONTRIB_TRACES.name, "trivial"),
    ),
    Budget(
        "three signals, trivial request: share of what contrib's three add",
        0.1,
        "×",
        lambda results: results.added_ratio(OWN_SIGNALS.name, CONTRIB_SIGNALS.name, "trivial"),
    ),
    Budget(
        "metrics alone, trivial request: share of what django-prometheus adds",
        1 / 3,
        "×",
        lambda results: results.added_ratio(OWN_METRICS.name, PROMETHEUS.name, "trivial"),
    ),
    Budget(
        "a recorded query, export included", 15, "µs", lambda results: results.query_us(OWN.name)
    ),
    Budget(
        "a request sampled out, measured",
        10,
        "µs",
        lambda results: results.added_us(OWN_OFF.name, "trivial"),
    ),
    Budget(
        "a page of ten queries sampled out, measured",
        40,
        "µs",
        lambda results: results.added_us(OWN_OFF.name, "queries"),
    ),
    Budget(
        "p99 of a ten-query page while exporting, as a multiple of bare",
        1.25,
        "×",
        lambda results: results.latency_ratio(OWN.name, 0.99),
        lambda results: results.latency_is_steady(),
    ),
    Budget(
        "publishing a task: share of what contrib adds",
        0.2,
        "×",
        lambda results: results.added_ratio(OWN_TASKS.name, CONTRIB_TASKS.name, "publish"),
    ),
    Budget(
        "running a task: share of what contrib adds",
        0.2,
        "×",
        lambda results: results.added_ratio(OWN_TASKS.name, CONTRIB_TASKS.name, "run"),
    ),
    Budget(
        "a log record, line and export: share of what python-json-logger and contrib add",
        1 / 3,
        "×",
        lambda results: results.added_ratio(OWN_LOGS.name, CONTRIB_LOGS.name, "record"),
    ),
    Budget(
        "request.finished, line and export",
        15,
        "µs",
        lambda results: results.more_us(OWN_REQUEST_LOG.name, OWN_SIGNALS.name, "trivial"),
    ),
    Budget(
        "/livez, as a multiple of a bare view",
        1.2,
        "×",
        lambda results: results.cpu_ratio(OWN_PROBES.name, BARE_PROBES.name, "livez"),
    ),
    Budget(
        "memory of a process, three signals",
        20,
        "MiB",
        lambda results: results.memory_mib(OWN_SIGNALS.name),
    ),
    Budget(
        "start-up until the first response, three signals",
        150,
        "ms",
        lambda results: results.start_ms(OWN_SIGNALS.name, "first response"),
    ),
    Budget(
        "a command that isn't traced",
        20,
        "ms",
        lambda results: results.start_ms(OWN_SIGNALS.name, "manage.py check"),
    ),
)
