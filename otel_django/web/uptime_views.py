"""Since when this site runs."""

from __future__ import annotations

import functools
import os
import platform
from typing import TypedDict

import django

from otel_django import host_environment, runtime_state
from otel_django.clock import SYSTEM_CLOCK
from otel_django.health.report_json import timestamp
from otel_django.version import VERSION
from otel_django.web.json_endpoint import Asked, anyone, class_of, get, json_view


class ProcessDetails(TypedDict):
    """The process that answered."""

    pid: int
    role: str
    host: str
    python: str
    django: str
    otel_django: str


class UptimeDetails(TypedDict):
    """``version`` is the site's, empty where it isn't known."""

    service: str
    version: str
    process: ProcessDetails


class Uptime(TypedDict):
    """Of the process that answered; ``details`` only for those who may read them, else null."""

    status: str
    timestamp: str
    started: str
    uptime_s: float
    details: UptimeDetails | None


@get(may=anyone)
def _uptime(asked: Asked) -> Uptime:
    """When the process that answers was started; for staff and tokens also what it is."""
    started_s = _started_s(os.getpid())
    now_ns = SYSTEM_CLOCK.now_ns()
    return {
        "status": "up",
        "timestamp": timestamp(now_ns),
        "started": timestamp(int(started_s * 1e9)),
        "uptime_s": round(max(0.0, now_ns / 1e9 - started_s), 3),
        "details": _details(asked) if asked.may_read else None,
    }


@functools.lru_cache(maxsize=1)
def _started_s(pid: int) -> float:
    import psutil  # not in each command that only loads the URLconf

    return psutil.Process(pid).create_time()


def _details(asked: Asked) -> UptimeDetails:
    state = runtime_state.runtime_state()
    return {
        "service": asked.settings.service_name,
        "version": "" if state is None else state["version"],
        "process": {
            "pid": os.getpid(),
            "role": host_environment.role(host_environment.current_process()),
            "host": host_environment.host_name(),
            "python": platform.python_version(),
            "django": django.get_version(),
            "otel_django": VERSION,
        },
    }


uptime_status = json_view("uptime_status", _uptime)
UptimeStatusView = class_of(uptime_status)
