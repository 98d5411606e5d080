"""What of this process's metrics is running, for those who can't be handed it.

The runtime says it; views and the Python API ask. Importing this is light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from otel_django.metric_points import ResourceMetrics
    from otel_django.metrics.recorder import Recorder


class HostSums(Protocol):
    """The sums of all processes of this host."""

    def read(self) -> tuple[ResourceMetrics, ...]:
        """As they are now, this process's own included; one entry a role."""
        ...

    @property
    def elected(self) -> bool:
        """Whether this process does what only one of the host is to do."""
        ...


_recorder: Recorder | None = None
_host: HostSums | None = None


def recorder() -> Recorder | None:
    """What measurements go to; None where metrics are off."""
    return _recorder


def host() -> HostSums | None:
    """The host's sums; None where there are none."""
    return _host


def activate(recorder: Recorder | None, host: HostSums | None = None) -> None:
    """From now on these; None for what isn't running."""
    global _recorder, _host
    _recorder = recorder
    _host = host
