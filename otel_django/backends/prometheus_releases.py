"""Which versions of services ran when, from what Prometheus knows of their resources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_django import names
from otel_django.backends.prometheus_api import SERVICE_LABELS, PrometheusApi, service_of
from otel_django.metrics.prometheus_names import label_name
from otel_django.roll_ups import Release

if TYPE_CHECKING:
    from otel_django.backends.remote import Remote

STEPS: Final = 300
LEAST_STEP_NS: Final = 60 * 10**9
BEFORE_NS: Final = 86_400 * 10**9
"""What ran a day before the range had begun before it."""
_VERSION: Final = label_name(names.SERVICE_VERSION)


class PrometheusReleaseReader:
    """A ``ReleaseReader``; times are as exact as a 300th of the range and the day before it."""

    def __init__(self, remote: Remote) -> None:
        self._api = PrometheusApi(remote)

    def releases(self, since_ns: int, until_ns: int) -> tuple[Release, ...]:
        """By their beginning."""
        begin_ns = since_ns - BEFORE_NS
        step_ns = max(LEAST_STEP_NS, (until_ns - begin_ns) // STEPS)
        by = ", ".join((*SERVICE_LABELS, _VERSION))
        known = f'last_over_time(target_info{{{_VERSION}!=""}}[{step_ns // 10**9}s])'
        found: dict[tuple[str, str], tuple[int, int]] = {}
        for each in self._api.range(f"count by ({by}) ({known})", begin_ns, until_ns, step_ns):
            key = (service_of(each.labels), each.labels.get(_VERSION, ""))
            times = [at_ms * 1_000_000 for at_ms, _ in each.samples]
            first_ns, last_ns = found.get(key, (times[0], times[-1]))
            found[key] = (min(first_ns, times[0]), max(last_ns, times[-1]))
        made = (Release(*key, *times) for key, times in found.items() if times[1] >= since_ns)
        return tuple(sorted(made, key=lambda release: release.first_ns))
