"""The endpoints that balancers, Kubernetes and people ask whether the site is well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_django.web import early
from otel_django.web.json_endpoint import class_of
from otel_django.web.probes import LiveProbe, Probe

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

_LIVE = LiveProbe()
_READY = Probe("ready")
_STARTUP = Probe("startup")
_ALL = Probe("all", selectable=True)


def health_check_simple(request: HttpRequest) -> HttpResponse:
    """``OK`` as long as the process answers: liveness."""
    return _LIVE.view(request)


def readiness_check(request: HttpRequest) -> HttpResponse:
    """Whether requests may be sent here: the checks of the group ``ready``."""
    return _READY.view(request)


def startup_check(request: HttpRequest) -> HttpResponse:
    """Whether the site has started: the checks of the group ``startup``."""
    return _STARTUP.view(request)


def health_check(request: HttpRequest) -> HttpResponse:
    """All checks, or those that ``?group=`` and ``?check=`` name."""
    return _ALL.view(request)


HealthCheckSimpleView = class_of(health_check_simple)
ReadinessCheckView = class_of(readiness_check)
StartupCheckView = class_of(startup_check)
HealthCheckView = class_of(health_check)
_PROBES: tuple[tuple[LiveProbe | Probe, tuple[object, ...]], ...] = (
    (_LIVE, (health_check_simple, HealthCheckSimpleView)),
    (_READY, (readiness_check, ReadinessCheckView)),
    (_STARTUP, (startup_check, StartupCheckView)),
    (_ALL, (health_check, HealthCheckView)),
)
for _probe, _views in _PROBES:
    for _view in _views:
        early.answers_early(_view, _probe.early, _probe.early_async, _probe.prepare)
