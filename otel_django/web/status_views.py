"""How the monitoring itself goes."""

from __future__ import annotations

import os
from typing import TypedDict

from otel_django import guard, host_environment, names, runtime_state
from otel_django import metric_definitions as metrics
from otel_django.clock import SYSTEM_CLOCK
from otel_django.errors import ReadError
from otel_django.health.report_json import timestamp
from otel_django.metrics import active as metrics_active
from otel_django.observers import active as observers_active
from otel_django.runtime_state import DropState, RuntimeState  # noqa: TC001 - read for the schema
from otel_django.version import VERSION
from otel_django.web.alerting_state import (
    ChannelState,
    EvaluatorState,
    alerting,
)
from otel_django.web.json_endpoint import Asked, class_of, get, json_view
from otel_django.web.metric_sums import host_sums


class HostState(TypedDict):
    """Of all processes of this host: what was lost since their metrics began.

    ``exports``: this process is the one that exports the host's metrics.
    """

    dropped: list[DropState]
    exports: bool


class ObserverState(TypedDict):
    """``fresh``: some process has seen it lately; ``observations`` is how many figures it saw."""

    name: str
    fresh: bool
    observations: int


class ProcessState(TypedDict):
    """The process that answered; ``faults`` are those of this package, by place."""

    pid: int
    role: str
    observed: bool
    faults: dict[str, int]


class MonitoringStatus(TypedDict):
    """``pipeline`` is this process's, null where it isn't observed; ``channels`` is null where the
    database can't be asked.
    """

    timestamp: str
    service: str
    version: str
    process: ProcessState
    pipeline: RuntimeState | None
    host: HostState | None
    observers: list[ObserverState]
    unusable_settings: list[str]
    evaluator: EvaluatorState
    channels: list[ChannelState] | None


@get()
def _status(asked: Asked) -> MonitoringStatus:
    """Queues, exporters, spool, losses, store, governor, observers and alerting, as they are."""
    from otel_django.observers import celery_queues, celery_workers  # they import OpenTelemetry

    pipeline = runtime_state.runtime_state()
    evaluator, channels = alerting(asked.settings).state()
    return {
        "timestamp": timestamp(SYSTEM_CLOCK.now_ns()),
        "service": asked.settings.service_name,
        "version": VERSION,
        "process": {
            "pid": os.getpid(),
            "role": host_environment.role(host_environment.current_process()),
            "observed": pipeline is not None,
            "faults": guard.faults(),
        },
        "pipeline": pipeline,
        "host": _host(),
        "observers": [_observer(each) for each in (celery_workers.NAME, celery_queues.NAME)],
        "unusable_settings": sorted(
            {each.name for each in asked.settings.problems if each.kind == "value"}
        ),
        "evaluator": evaluator,
        "channels": channels,
    }


def _host() -> HostState | None:
    host = metrics_active.host()
    if host is None:
        return None
    try:
        sums = host_sums()
    except ReadError:
        return None
    dropped: list[DropState] = [
        {
            "signal": str(attributes.get(names.OTEL_DJANGO_SIGNAL, "")),
            "cause": str(attributes.get(names.OTEL_DJANGO_CAUSE, "")),
            "count": int(count),
        }
        for attributes, count in sums.values(metrics.OTEL_DJANGO_DROPPED)
        if count
    ]
    return {"dropped": dropped, "exports": host.elected}


def _observer(name: str) -> ObserverState:
    latest = observers_active.latest(name)
    return {"name": name, "fresh": latest is not None, "observations": len(latest or ())}


monitoring_status = json_view("monitoring_status", _status)
MonitoringStatusView = class_of(monitoring_status)
