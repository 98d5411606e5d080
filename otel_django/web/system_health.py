"""The state of the system for the admin: small, and with an ETag, as it is asked for often."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final, TypedDict

from django.utils.http import parse_etags

from otel_django.clock import SYSTEM_CLOCK
from otel_django.health import active
from otel_django.health.report_json import check_document, timestamp
from otel_django.health.results import score
from otel_django.web.dashboard import Api, Celery, Host, measured
from otel_django.web.json_endpoint import Asked, answer, class_of, finite, get, json_view
from otel_django.web.metric_sums import host_sums
from otel_django.web.metrics_answer import Answer
from otel_django.web.permissions import has_permission

if TYPE_CHECKING:
    from django.http import HttpRequest

    from otel_django.conf import Settings
    from otel_django.web.access import Verdict

PERMISSION: Final = "otel_django.view_system_health"
_PASSING: Final = frozenset({"timestamp", "duration_ms", "age_s", "running_s"})
"""What differs at each look."""


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
    found = system_health()
    tag = f'W/"{_digest(found)}"'
    known = parse_etags(asked.request.META.get("HTTP_IF_NONE_MATCH", ""))
    if tag in known or tag.removeprefix("W/") in known or "*" in known:
        return Answer(304, b"", {"ETag": tag})
    return answer(found, ETag=tag)


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


def _digest(found: SystemHealth) -> str:
    text = json.dumps(_lasting(finite(found)), sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


def _lasting(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lasting(each) for key, each in value.items() if key not in _PASSING}
    return value


health_api_view = json_view("health_api_view", _system_health)
HealthApiView = class_of(health_api_view)
