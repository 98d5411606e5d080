"""What this process can tell of its own telemetry: set by the runtime, asked by views and checks.

The types are those of the JSON that shows it. Ages are in seconds, None for never.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict


class QueueState(TypedDict):
    """What waits in memory for the worker thread; ``signal`` is traces or logs."""

    signal: str
    waiting: int
    capacity: int


class ExporterState(TypedDict):
    """How one way out of a signal goes; ``waiting`` is in memory and on disk.

    ``direct``: what comes is sent at once, nothing waits.
    """

    signal: str
    destination: str
    direct: bool
    delivered: int
    waiting: int
    last_success_age_s: float | None
    last_error: str
    last_error_age_s: float | None
    spool_error: str


class DropState(TypedDict):
    """What was lost, and why."""

    signal: str
    cause: str
    count: int


class SpoolState(TypedDict):
    """What waits on disk, of all processes that share it."""

    bytes: int
    limit_bytes: int


class GovernorState(TypedDict):
    """The share of processor time; ``level`` 0: everything is recorded, else less and less."""

    limit_ratio: float
    share_ratio: float | None
    level: int
    trace_ratio: float


class StoreState(TypedDict):
    """The embedded store; ``problem`` says why it is off, empty if it isn't."""

    bytes: int
    limit_bytes: int
    retention_hours: float
    problem: str


class RuntimeState(TypedDict):
    """``guest``: another tracer provider is in charge. ``dropped`` since the process began."""

    version: str
    guest: bool
    queues: list[QueueState]
    exporters: list[ExporterState]
    dropped: list[DropState]
    spool: SpoolState | None
    governor: GovernorState | None
    store: StoreState | None


_source: Callable[[], RuntimeState] | None = None


def set_source(source: Callable[[], RuntimeState] | None) -> None:
    """From now on this one tells; None: nothing runs."""
    global _source
    _source = source


def runtime_state() -> RuntimeState | None:
    """This process's; None where it isn't observed. Any thread may ask."""
    return None if _source is None else _source()
