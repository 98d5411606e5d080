"""The parts of the system that the dashboard has a row for, and the figures of each, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from otel_django import metric_definitions as metrics
from otel_django import names
from otel_django.viewer.board.measures import Measure

_HOST: Final = (names.SERVICE_NAME, names.SERVICE_INSTANCE_ID)
_SERVER_ERROR: Final = 500
HOUR_S: Final = 3600


def failed_request(attributes: Mapping[str, Any]) -> bool:
    """Answered with 5xx, or not at all."""
    status = str(attributes.get(names.HTTP_RESPONSE_STATUS_CODE, ""))
    return not status.isdigit() or int(status) >= _SERVER_ERROR


def _hit(attributes: Mapping[str, Any]) -> bool:
    return attributes.get(names.DJANGO_CACHE_RESULT) == "hit"


def _looked_up(attributes: Mapping[str, Any]) -> bool:
    return attributes.get(names.DJANGO_CACHE_RESULT) in {"hit", "miss"}


def _online(attributes: Mapping[str, Any]) -> bool:
    return attributes.get(names.CELERY_WORKER_STATE) == "online"


def task_failed(attributes: Mapping[str, Any]) -> bool:
    """For good."""
    return attributes.get(names.CELERY_TASK_STATE) == "failure"


def _busy(attributes: Mapping[str, Any]) -> bool:
    return attributes.get(names.CPU_MODE) not in {"idle", "iowait"}


def _received(attributes: Mapping[str, Any]) -> bool:
    return attributes.get(names.NETWORK_IO_DIRECTION) == "receive"


def _sent(attributes: Mapping[str, Any]) -> bool:
    return attributes.get(names.NETWORK_IO_DIRECTION) == "transmit"


def _used(attributes: Mapping[str, Any]) -> bool:
    return attributes.get(names.SYSTEM_MEMORY_STATE) == "used"


def _within_the_hour(attributes: Mapping[str, Any]) -> bool:
    return attributes.get(names.DJANGO_API_WINDOW) == "1h"


def _within_the_day(attributes: Mapping[str, Any]) -> bool:
    return attributes.get(names.DJANGO_API_WINDOW) == "24h"


@dataclass(frozen=True, slots=True)
class Part:
    """The first three ``measures`` stand in its row; the first of all is drawn.

    ``checks`` are the health checks that look at it.
    """

    name: str
    title: str
    page: str
    measures: tuple[Measure, ...]
    checks: tuple[str, ...] = ()


_REQUESTS: Final = metrics.HTTP_SERVER_REQUEST_DURATION
SITE: Final = Part(
    "site",
    "Site",
    "overview",
    (
        Measure("requests", "Requests", "{request}/s", _REQUESTS, "rate"),
        Measure(
            *("failed", "Failed", "1", _REQUESTS, "share", failed_request),
            rule="HighErrorRate",
            scale=100,
            worse=1,
        ),
        Measure("p95", "p95", "s", _REQUESTS, "p95", rule="HighResponseTime", worse=1),
        Measure("p99", "p99", "s", _REQUESTS, "p99", rule="VeryHighResponseTime", worse=1),
        Measure(
            "mean", "Mean", "s", _REQUESTS, "mean", rule="SlowMeanResponse", scale=1e3, worse=1
        ),
        Measure(
            *("active", "Being served", "{request}", metrics.HTTP_SERVER_ACTIVE_REQUESTS, "level"),
            within="sum",
        ),
        Measure(
            *("exceptions", "Exceptions", "{exception}/s", metrics.DJANGO_EXCEPTIONS, "rate"),
            worse=1,
        ),
    ),
    ("storage", "email", "http", "certificate"),
)
DATABASE: Final = Part(
    "database",
    "Database",
    "database",
    (
        Measure(
            *("p95", "Query p95", "s", metrics.DB_CLIENT_OPERATION_DURATION, "p95"),
            rule="SlowDatabaseQueries",
            scale=1e3,
            worse=1,
        ),
        Measure(
            *("connections", "Connections", "{connection}", metrics.DB_CLIENT_CONNECTION_COUNT),
            "level",
            within="sum",
        ),
        Measure(
            *("size", "Size", "By", metrics.DJANGO_DB_SIZE, "level"), by=(names.DJANGO_DB_ALIAS,)
        ),
        Measure(
            *("used", "Connections used", "1", metrics.DJANGO_DB_CONNECTION_UTILIZATION, "level"),
            across="max",
            rule="DatabaseConnectionsExhausted",
            scale=100,
            worse=1,
        ),
        Measure("queries", "Queries", "{query}/s", metrics.DB_CLIENT_OPERATION_DURATION, "rate"),
        Measure(
            *("mean", "Query mean", "s", metrics.DB_CLIENT_OPERATION_DURATION, "mean"),
            rule="SlowMeanQuery",
            scale=1e3,
            worse=1,
        ),
        Measure(
            *("slow", "Slow queries", "{query}/s", metrics.DJANGO_DB_SLOW_QUERIES, "rate"), worse=1
        ),
        Measure(
            *("errors", "Connection errors", "{error}", metrics.DJANGO_DB_CONNECTION_ERRORS),
            "gain",
            worse=1,
        ),
    ),
    ("database", "migrations"),
)
CACHE: Final = Part(
    "cache",
    "Cache",
    "cache",
    (
        Measure(
            *("hits", "Hits", "1", metrics.DJANGO_CACHE_OPERATIONS, "share", _hit, _looked_up),
            rule="LowCacheHitRate",
            scale=100,
            worse=-1,
        ),
        Measure(
            *("memory", "Memory", "By", metrics.REDIS_MEMORY_USED, "level"),
            by=(names.DJANGO_CACHE_ALIAS,),
        ),
        Measure(
            *("keys", "Keys", "{key}", metrics.REDIS_KEYS, "level"), by=(names.DJANGO_CACHE_ALIAS,)
        ),
        Measure(
            *("expiring", "Keys that expire", "{key}", metrics.REDIS_KEYS_EXPIRING, "level"),
            by=(names.DJANGO_CACHE_ALIAS,),
        ),
        Measure(
            *("evictions", "Evicted", "{key}", metrics.REDIS_EVICTIONS, "level"),
            by=(names.DJANGO_CACHE_ALIAS,),
            worse=1,
        ),
        Measure(
            *("lookups", "Look-ups", "{lookup}/s", metrics.DJANGO_CACHE_OPERATIONS, "rate"),
            _looked_up,
        ),
        Measure("p95", "p95", "s", metrics.DJANGO_CACHE_OPERATION_DURATION, "p95", worse=1),
    ),
    ("cache",),
)
CELERY: Final = Part(
    "celery",
    "Celery",
    "tasks",
    (
        Measure(
            *("waiting", "Waiting", "{message}", metrics.CELERY_QUEUE_LENGTH, "level"),
            by=(names.MESSAGING_DESTINATION_NAME,),
            worse=1,
        ),
        Measure(
            *("workers", "Workers", "{worker}", metrics.CELERY_WORKERS, "level", _online), worse=-1
        ),
        Measure(
            *("failed", "Tasks failed", "1", metrics.CELERY_TASK_EXECUTIONS, "share", task_failed),
            rule="JobFailureRate",
            scale=100,
            worse=1,
            window_s=900,
        ),
        Measure("runs", "Runs", "{run}/s", metrics.CELERY_TASK_EXECUTIONS, "rate"),
        Measure(
            *("failures", "Failed, 1 h", "{task}", metrics.CELERY_TASK_EXECUTIONS, "gain"),
            task_failed,
            worse=1,
            window_s=HOUR_S,
        ),
        Measure(
            *("running", "Running", "{task}", metrics.CELERY_TASK_ACTIVE, "level"), within="sum"
        ),
        Measure(
            *("oldest", "Oldest waits", "s", metrics.CELERY_QUEUE_OLDEST_MESSAGE_AGE, "level"),
            across="max",
            worse=1,
        ),
        Measure(
            *("wait", "Wait p95", "s", metrics.CELERY_TASK_QUEUE_WAIT, "p95"),
            rule="QueueWait",
            worse=1,
        ),
        Measure(
            *("response", "Worker takes a task in", "s", metrics.CELERY_WORKER_RESPONSE_TIME),
            "level",
            across="max",
            worse=1,
        ),
    ),
    ("celery_workers", "celery_queues", "celery_broker", "celery_beat"),
)
API: Final = Part(
    "api",
    "API",
    "endpoints",
    (
        Measure("requests", "Requests", "{request}/s", metrics.DJANGO_API_REQUESTS, "rate"),
        Measure(
            *("clients", "Clients, 1 h", "{client}", metrics.DJANGO_API_ACTIVE_CLIENTS, "level"),
            _within_the_hour,
            by=_HOST,
        ),
        Measure(
            *("throttled", "Throttled", "{request}/s", metrics.DJANGO_API_THROTTLED, "rate"),
            worse=1,
        ),
        Measure(
            *("clients_24h", "Clients, 24 h", "{client}", metrics.DJANGO_API_ACTIVE_CLIENTS),
            "level",
            _within_the_day,
            by=_HOST,
        ),
        Measure(
            *("requests_1h", "Requests, 1 h", "{request}", metrics.DJANGO_API_REQUESTS, "gain"),
            window_s=HOUR_S,
        ),
    ),
)
HOST: Final = Part(
    "host",
    "Host",
    "services",
    (
        Measure(
            *("cpu", "CPU", "1", metrics.SYSTEM_CPU_UTILIZATION, "level", _busy),
            by=_HOST,
            within="sum",
            across="max",
            rule="HighCpu",
            scale=100,
            worse=1,
        ),
        Measure(
            *("memory", "Memory", "1", metrics.SYSTEM_MEMORY_UTILIZATION, "level", _used),
            by=_HOST,
            across="max",
            rule="HighMemory",
            scale=100,
            worse=1,
        ),
        Measure(
            *("disk", "Fullest disk", "1", metrics.SYSTEM_FILESYSTEM_UTILIZATION, "level"),
            across="max",
            rule="DiskFull",
            scale=100,
            worse=1,
        ),
        Measure(
            *("load", "Load, 1 min", "", metrics.SYSTEM_CPU_LOAD_AVERAGE_1M, "level"),
            across="max",
            worse=1,
        ),
        Measure("received", "Received", "By/s", metrics.SYSTEM_NETWORK_IO, "rate", _received),
        Measure("sent", "Sent", "By/s", metrics.SYSTEM_NETWORK_IO, "rate", _sent),
        Measure("load_5m", "Load, 5 min", "", metrics.SYSTEM_CPU_LOAD_AVERAGE_5M, "level"),
        Measure("load_15m", "Load, 15 min", "", metrics.SYSTEM_CPU_LOAD_AVERAGE_15M, "level"),
        Measure(
            *("memory_total", "Memory in all", "By", metrics.SYSTEM_MEMORY_LIMIT, "level"),
            by=_HOST,
        ),
        Measure(
            *("memory_available", "Available", "By", metrics.SYSTEM_MEMORY_LINUX_AVAILABLE),
            "level",
            by=_HOST,
            worse=-1,
        ),
    ),
    ("cpu", "memory", "disk", "load"),
)
PARTS: Final = (SITE, DATABASE, CACHE, CELERY, API, HOST)
WATCHING: Final = ("monitoring", "collector", "telemetry")
"""Health checks of the monitoring itself, which stand with the alerts."""


def figure_name(part: Part, measure: Measure) -> str:
    """Its name among ``HealthMetric``."""
    return f"{part.name}.{measure.name}"


def checked_by(name: str) -> str:
    """The part that a health check looks at; checks of the site's own look at the site."""
    if name in WATCHING:
        return "alerts"
    return next((part.name for part in PARTS if name in part.checks), SITE.name)
