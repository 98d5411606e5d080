"""Answers that are kept for a while, and dropping them."""

from __future__ import annotations

from typing import TypedDict

from otel_django.clock import SYSTEM_CLOCK
from otel_django.health import active
from otel_django.health.report_json import timestamp
from otel_django.web.json_endpoint import Asked, class_of, json_view, post


class Cleared(TypedDict):
    """What was dropped."""

    timestamp: str
    cleared: list[str]


@post()
def _clear(asked: Asked) -> Cleared:
    """Drop what the health checks of this host found, so that the next look asks again."""
    active.engine().forget()
    return {"timestamp": timestamp(SYSTEM_CLOCK.now_ns()), "cleared": ["health"]}


clear_monitoring_cache = json_view("clear_monitoring_cache", _clear)
ClearMonitoringCacheView = class_of(clear_monitoring_cache)
