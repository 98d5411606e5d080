"""The state of the system for the admin: small, and with an ETag, as it is asked for often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypedDict

from otel_django.clock import SYSTEM_CLOCK
from otel_django.health import active
from otel_django.health.report_json import check_document, timestamp
from otel_django.health.results import score
from otel_django.web.dashboard import Api, Celery, Host, measured
from otel_django.web.json_endpoint import Asked, class_of, get, json_view
from otel_django.web.metric_sums import host_sums
from otel_django.web.permissions import has_permission
from otel_django.web.unchanged import unless_known

if TYPE_CHECKING:
    from django.http import HttpRequest

    from otel_django.conf import Settings
    from otel_django.web.access import Verdict
    from otel_django.web.metrics_answer import Answer

PERMISSION: Final = "otel_django.view_system_health"


class SystemHealth(TypedDict):
    """``score`` is from 0 to 100; ``checks`` are as ``/monitoring/health/`` shows them."""

    timestamp: str
    status: str
    score: float | None
    checks: dict[str, Any]
    celery: Celery
    api: Api
    host: Host


def may_see(request: HttpRequest, settings: Settings) -> Verdict:
    """Staff who are superusers or have the permission."""
    return "allowed" if has_permission(request, PERMISSION) else "forbidden"


@get(may=may_see, shape=SystemHealth)
def _system_health(asked: Asked) -> Answer:
    """Health checks, Celery, API and host. With If-None-Match 304 where all is as before."""
    return unless_known(asked.request, system_health())


def system_health() -> SystemHealth:
    """As it is now."""
    report = active.engine().report("all")
    now_ns = SYSTEM_CLOCK.now_ns()
    sums = measured(host_sums(), now_ns, {check.name: check.status for check in report.checks})
    return {
        "timestamp": timestamp(now_ns),
        "status": report.status,
        "score": score(report.checks),
        "checks": {check.name: check_document(check) for check in report.checks},
        "celery": sums["celery"],
        "api": sums["api"],
        "host": sums["host"],
    }


health_api_view = json_view("health_api_view", _system_health)
HealthApiView = class_of(health_api_view)
