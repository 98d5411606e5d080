"""The machine: CPU, load, memory, file systems, disks and network, told by one process a host.

That is the one which exports the host's sums. Its counters have what came while it looked, as those
of all that were ever elected are added up.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from otel_django import metric_definitions as metrics
from otel_django.instrumentation.process_metrics import Observed, Seen, Values
from otel_django.metrics import active

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_django.metric_points import MetricDefinition

_LOADS = (
    metrics.SYSTEM_CPU_LOAD_AVERAGE_1M,
    metrics.SYSTEM_CPU_LOAD_AVERAGE_5M,
    metrics.SYSTEM_CPU_LOAD_AVERAGE_15M,
)
_NO_NETWORKS = ("lo", "veth", "cali")
"""Loopback, and ends of containers: each has a name of its own, and goes through another one."""
_MEMORY_STATES = ("used", "free", "buffers", "cached")


class HostSystemMetrics(Observed):
    """What psutil says of the host."""

    DEFINITIONS = (
        metrics.SYSTEM_CPU_UTILIZATION,
        *_LOADS,
        metrics.SYSTEM_MEMORY_LIMIT,
        metrics.SYSTEM_MEMORY_USAGE,
        metrics.SYSTEM_MEMORY_UTILIZATION,
        metrics.SYSTEM_MEMORY_LINUX_AVAILABLE,
        metrics.SYSTEM_FILESYSTEM_USAGE,
        metrics.SYSTEM_FILESYSTEM_UTILIZATION,
        metrics.SYSTEM_DISK_IO,
        metrics.SYSTEM_NETWORK_IO,
    )
    _cpu_before: Any = None
    _transferred_before: Seen | None = None

    def __init__(self, now_s: Callable[[], float] = monotonic) -> None:
        super().__init__(now_s)
        self._counted: Seen = {}

    def is_wanted(self) -> bool:
        """Whether this process has been elected."""
        host = active.host()
        return host is not None and host.elected

    def after_fork(self) -> None:
        """In a forked child: nothing was seen yet."""
        super().after_fork()
        self._counted = {}

    def look_away(self) -> None:
        """What comes until the next look is another one's to count."""
        super().look_away()
        self._cpu_before = self._transferred_before = None

    def look(self) -> Seen:
        """What is there now."""
        return {
            **self._cpu(),
            **_load(),
            **_memory(),
            **_filesystems(),
            **self._count(_transferred()),
        }

    def _cpu(self) -> Seen:
        import psutil

        now, before = psutil.cpu_times(), self._cpu_before
        self._cpu_before = now
        if before is None:
            return {}
        spent = {
            mode: max(0.0, value - getattr(before, mode))
            for mode, value in now._asdict().items()
            if mode not in ("guest", "guest_nice")  # parts of user and nice
        }
        total = sum(spent.values())
        if not total:  # less than the clock's tick
            return {}
        return {
            metrics.SYSTEM_CPU_UTILIZATION: {
                (mode,): value / total for mode, value in spent.items()
            }
        }

    def _count(self, transferred: Seen) -> Seen:
        """Add what came since the last look."""
        before = self._transferred_before or transferred
        self._transferred_before = transferred
        for definition, series in transferred.items():
            counted = self._counted.setdefault(definition, {})
            for key, value in series.items():
                came = max(0.0, value - before[definition].get(key, value))
                counted[key] = counted.get(key, 0.0) + came
        return {definition: dict(series) for definition, series in self._counted.items()}


def _load() -> Seen:
    if not hasattr(os, "getloadavg"):
        return {}
    return {metric: {(): value} for metric, value in zip(_LOADS, os.getloadavg(), strict=True)}


def _memory() -> Seen:
    import psutil

    memory = psutil.virtual_memory()
    usage: dict[Values, float] = {
        (state,): getattr(memory, state) for state in _MEMORY_STATES if hasattr(memory, state)
    }
    seen: Seen = {
        metrics.SYSTEM_MEMORY_LIMIT: {(): memory.total},
        metrics.SYSTEM_MEMORY_USAGE: usage,
        metrics.SYSTEM_MEMORY_UTILIZATION: {
            key: value / memory.total for key, value in usage.items()
        },
    }
    if sys.platform == "linux":
        seen[metrics.SYSTEM_MEMORY_LINUX_AVAILABLE] = {(): memory.available}
    return seen


def _filesystems() -> Seen:
    """Each device once, and where the root lies."""
    import psutil

    places: dict[str, str] = {}
    for partition in psutil.disk_partitions():
        if not partition.device.startswith("/dev/loop"):
            places.setdefault(partition.device, partition.mountpoint)
    if os.name == "posix" and "/" not in places.values():
        places["root"] = "/"
    usage: dict[Values, float] = {}
    share: dict[Values, float] = {}
    for device, mountpoint in places.items():
        try:
            space = psutil.disk_usage(mountpoint)
        except OSError:
            continue  # not for us to see, or gone
        reserved = max(0, space.total - space.used - space.free)
        for state, value in (("used", space.used), ("free", space.free), ("reserved", reserved)):
            usage[device, mountpoint, state] = value
        share[device, mountpoint] = space.used / ((space.used + space.free) or 1)
    return {
        metrics.SYSTEM_FILESYSTEM_USAGE: usage,
        metrics.SYSTEM_FILESYSTEM_UTILIZATION: share,
    }


def _transferred() -> dict[MetricDefinition, dict[Values, float]]:
    """Since the host began."""
    import psutil

    disks: dict[Values, float] = {}
    for name, counters in psutil.disk_io_counters(perdisk=True).items():
        if _is_disk(name):
            disks[name, "read"] = counters.read_bytes
            disks[name, "write"] = counters.write_bytes
    networks: dict[Values, float] = {}
    for name, sent in psutil.net_io_counters(pernic=True).items():
        if not name.startswith(_NO_NETWORKS):
            networks[name, "receive"] = sent.bytes_recv
            networks[name, "transmit"] = sent.bytes_sent
    return {metrics.SYSTEM_DISK_IO: disks, metrics.SYSTEM_NETWORK_IO: networks}


def _is_disk(name: str) -> bool:
    """A whole one, whose parts would count twice; no loop or memory disk."""
    if name.startswith(("loop", "ram", "zram")):
        return False
    return sys.platform != "linux" or Path("/sys/block", name).exists()
