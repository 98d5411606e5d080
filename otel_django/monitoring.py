"""The monitoring under the names by which sites import it: views, and what they are made of.

``path("health/", monitoring.health_check)`` or ``monitoring.HealthCheckView.as_view()``.
"""

from __future__ import annotations

from typing import Any, Final

from otel_django.clock import SYSTEM_CLOCK
from otel_django.health import active
from otel_django.health.report_json import document
from otel_django.viewer.dashboard_views import MonitoringDashboardView, monitoring_dashboard
from otel_django.web.alert_records import AlertsAwayError, made_since
from otel_django.web.alert_views import TestAlertsView, test_alerts
from otel_django.web.cached_answers import ClearMonitoringCacheView, clear_monitoring_cache
from otel_django.web.dashboard import measured
from otel_django.web.health_views import (
    HealthCheckSimpleView,
    HealthCheckView,
    health_check,
    health_check_simple,
)
from otel_django.web.json_endpoint import finite
from otel_django.web.metric_sums import host_sums
from otel_django.web.metrics_views import MetricsEndpointView, metrics_endpoint
from otel_django.web.site_settings import site_settings, site_version
from otel_django.web.status_views import MonitoringStatusView, monitoring_status
from otel_django.web.uptime_views import UptimeStatusView, uptime_status

__all__ = [
    "AlertManager",
    "ClearMonitoringCacheView",
    "HealthCheckManager",
    "HealthCheckSimpleView",
    "HealthCheckView",
    "MetricsEndpointView",
    "MonitoringDashboardView",
    "MonitoringStatusView",
    "PerformanceMonitor",
    "TestAlertsView",
    "UptimeStatusView",
    "alert_manager",
    "clear_monitoring_cache",
    "health_check",
    "health_check_manager",
    "health_check_simple",
    "metrics_endpoint",
    "monitoring_dashboard",
    "monitoring_status",
    "performance_monitor",
    "test_alerts",
    "uptime_status",
]


_STOP_S: Final = 2.0
_INTERVAL_S: Final = 300.0


class HealthCheckManager:
    """The health checks of this site."""

    def run_all_checks(self) -> dict[str, Any]:
        """What ``/monitoring/health/`` answers to staff: ``{status, timestamp, …, checks}``.

        It takes half a second at most, whatever a check is waiting for.
        """
        report: dict[str, Any] = finite(document(active.engine().report("all"), site_version()))
        return report


class PerformanceMonitor:
    """What the processes of this host have measured."""

    def collect_metrics(self) -> dict[str, Any]:
        """``{timestamp, site, database, cache, celery, api, host}``, as on the dashboard.

        What wasn't measured is None.

        Raises:
            ReadError: the sums can't be read just now.
        """
        found: dict[str, Any] = finite(measured(host_sums(), SYSTEM_CLOCK.now_ns()))
        return found


class AlertManager:
    """The alert rules of this site."""

    def check_and_send_alerts(
        self, timeout_s: float = 30.0, interval_s: float = _INTERVAL_S
    ) -> list[dict[str, Any]]:
        """Do once what ``run_monitoring`` does all the time; the notifications that were made.

        ``interval_s`` is how often it is called at least: after three times that without a call the
        health check ``monitoring`` says so.

        Each is ``{key, channel, kind, severity, state}``, and ``state`` is ``delivered``,
        ``waiting`` or ``refused``. Nothing is evaluated where another process does it already.
        """
        from otel_django.alerts.service.monitoring import Monitoring
        from otel_django.viewer.board.snapshot import figures

        settings = site_settings()
        since_ms = SYSTEM_CLOCK.now_ns() // 1_000_000
        monitoring = Monitoring(
            settings, clock=SYSTEM_CLOCK, interval_s=interval_s, figures=figures
        )
        try:
            monitoring.once(timeout_s)
        finally:
            monitoring.stop(_STOP_S)
        try:
            return made_since(settings.database, since_ms)
        except AlertsAwayError:  # a journal stands in; what was made is not known here
            return []


health_check_manager = HealthCheckManager()
performance_monitor = PerformanceMonitor()
alert_manager = AlertManager()
