"""Where this process listens for scrapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_django import guard
from otel_django.clock import SYSTEM_CLOCK
from otel_django.host_environment import current_process, role

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.tracing.tracer import Tracer
    from otel_django.web.metrics_listener import MetricsListener


class Listening:
    """Listens from ``install`` to ``uninstall`` or the end of the process."""

    def __init__(self) -> None:
        self._listeners: list[MetricsListener] = []

    def install(self, tracer: Tracer, settings: Settings) -> None:
        """Listen; a second call changes nothing."""
        addresses = addresses_of_this_process(settings)
        if not addresses or self._listeners:
            return
        from otel_django.web.access import Access
        from otel_django.web.metrics_answer import MetricsEndpoint
        from otel_django.web.metrics_listener import MetricsListener

        is_web = role(current_process()) == "web"
        endpoint = MetricsEndpoint(settings, Access.to_metrics(settings), SYSTEM_CLOCK)
        for host, port in addresses:
            listener = MetricsListener(host, port, endpoint, one_of_many=is_web)
            self._listeners.append(listener)
            listener.start()

    def uninstall(self) -> None:
        """Free the ports."""
        while self._listeners:
            with guard.guarded("metrics.listener.close"):
                self._listeners.pop().close()

    process_ends = uninstall


def addresses_of_this_process(settings: Settings) -> list[tuple[str, int]]:
    """Workers, beat and ``run_monitoring`` have one of their own; the exporter ``prometheus`` is
    for web servers too.
    """
    process = current_process()
    if process.kind != "server":
        return []
    found = []
    if settings.metrics_listen and role(process) in {"worker", "beat", "other"}:
        host, _, port = settings.metrics_listen.rpartition(":")
        found.append((host, int(port)))
    if "prometheus" in settings.metrics_exporters:
        found.append((settings.prometheus_host, settings.prometheus_port))
    return found
