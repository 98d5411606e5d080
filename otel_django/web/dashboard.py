"""The state of the whole system in one answer: what health checks found, and what was measured.

Counts are of all processes of this host since its metrics began; what wasn't measured is null.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, Literal, TypedDict

from otel_django import metric_definitions as metrics
from otel_django import names
from otel_django.health.report_json import timestamp
from otel_django.health.results import State, score
from otel_django.web.metric_sums import Durations, Spread

if TYPE_CHECKING:
    from otel_django.health.results import Report
    from otel_django.metric_points import MetricDefinition
    from otel_django.web.metric_sums import Sums

MOST_ROUTES: Final = 20
_SERVER_ERROR: Final = 500


class Health(TypedDict):
    """``score`` is from 0 to 100; ``checks`` are the states by name."""

    status: str
    score: float | None
    checks: dict[str, State]


class Route(TypedDict):
    """Requests of one route; ``errors`` are answers from 500 on."""

    route: str
    requests: int
    errors: int
    durations: Durations | None


class Site(TypedDict):
    """Requests; ``routes`` are those that took the most time."""

    requests: int
    errors: int
    error_ratio: float | None
    active_requests: float | None
    exceptions: float | None
    durations: Durations | None
    routes: list[Route]


class Database(TypedDict):
    """``connections`` by what they do, ``size_bytes`` by alias."""

    status: State | None
    queries: Durations | None
    slow_queries: float | None
    connection_errors: float | None
    connections: dict[str, float]
    size_bytes: dict[str, float]


class Cache(TypedDict):
    """Look-ups of all caches; of Redis the rest, by alias."""

    status: State | None
    hits: float
    misses: float
    hit_ratio: float | None
    memory_bytes: dict[str, float]
    keys: dict[str, float]
    keys_expiring: dict[str, float]
    evictions: dict[str, float]


class Celery(TypedDict):
    """Workers and executions by state, what waits by queue."""

    status: State | None
    workers: dict[str, float]
    queue_lengths: dict[str, float]
    oldest_message_age_s: dict[str, float]
    executions: dict[str, float]
    active_tasks: float | None
    response_time_s: dict[str, float]


class Api(TypedDict):
    """Requests to OTEL_DJANGO_API_ROUTES; ``active_clients`` by window."""

    requests: float | None
    throttled: float | None
    by_route: dict[str, float]
    active_clients: dict[str, float]


class Host(TypedDict):
    """Shares are from 0 to 1."""

    cpu_used_ratio: float | None
    memory_bytes: float | None
    memory_available_bytes: float | None
    memory_used_ratio: float | None
    load_average: list[float]
    disks_used_ratio: dict[str, float]


class Measured(TypedDict):
    """What metrics tell."""

    timestamp: str
    site: Site
    database: Database
    cache: Cache
    celery: Celery
    api: Api
    host: Host


class FigureNow(TypedDict):
    """A value in a unit of OpenTelemetry's, and what it was an hour ago."""

    name: str
    title: str
    unit: str
    value: float | None
    hour_ago: float | None
    status: State | Literal["unknown"]


class Part(TypedDict):
    """A part of the system. ``course`` is of its first figure, a value a minute.

    ``reason`` says what is wrong, ``missing`` what can't be read, ``age_s`` how old the checks'
    findings are.
    """

    name: str
    title: str
    status: State | Literal["unknown"]
    reason: str
    figures: list[FigureNow]
    course: list[float | None]
    checks: dict[str, State]
    age_s: float | None
    missing: str


class ActiveAlert(TypedDict):
    """An alert that fires, or is about to (``firing`` false)."""

    fingerprint: str
    name: str
    severity: str
    firing: bool
    message: str
    started: str
    acknowledged_by: str


class CustomCard(TypedDict):
    """A metric that users defined in the admin; ``missing`` says why there is no figure."""

    name: str
    title: str
    status: State | Literal["unknown"]
    figures: list[FigureNow]
    missing: str


class ErrorRecord(TypedDict):
    """A log record from the level error on."""

    time: str
    service: str
    logger: str
    event: str
    trace_id: str


class Dashboard(Measured):
    """All of it. ``errors`` are the newest of the last hour; ``missing`` says what can't be read.

    What stands beside ``parts`` is of this host's processes since their metrics began.
    """

    status: State | Literal["unknown"]
    health: Health
    parts: list[Part]
    alerts: list[ActiveAlert]
    custom: list[CustomCard]
    errors: list[ErrorRecord]
    missing: list[str]


def health_of(report: Report) -> Health:
    """What the checks found, in short."""
    states = {check.name: check.status for check in report.checks}
    return {"status": report.status, "score": score(report.checks), "checks": states}


def measured(sums: Sums, now_ns: int, states: dict[str, State] | None = None) -> Measured:
    """What ``sums`` say, with the states of checks by their names."""
    states = states or {}
    return {
        "timestamp": timestamp(now_ns),
        "site": _site(sums),
        "database": _database(sums, states.get("database")),
        "cache": _cache(sums, states.get("cache")),
        "celery": _celery(sums, states.get("celery_workers")),
        "api": _api(sums),
        "host": _host(sums),
    }


class _Served:
    def __init__(self) -> None:
        self.spread = Spread()
        self.errors = 0
        self.total_s = 0.0


def _site(sums: Sums) -> Site:
    every, routes = _Served(), defaultdict[str, _Served](_Served)
    for attributes, point, metric in sums.points(metrics.HTTP_SERVER_REQUEST_DURATION):
        status = attributes.get(names.HTTP_RESPONSE_STATUS_CODE)
        failed = not isinstance(status, int) or status >= _SERVER_ERROR
        for served in (every, routes[str(attributes.get(names.HTTP_ROUTE) or "")]):
            served.spread.add(point, metric)
            served.total_s += getattr(point, "sum", 0.0)
            if failed:
                served.errors += getattr(point, "count", 0)
    durations = every.spread.durations()
    requests = 0 if durations is None else durations["count"]
    busiest = sorted(routes.items(), key=lambda each: -each[1].total_s)[:MOST_ROUTES]
    return {
        "requests": requests,
        "errors": every.errors,
        "error_ratio": round(every.errors / requests, 4) if requests else None,
        "active_requests": sums.total(metrics.HTTP_SERVER_ACTIVE_REQUESTS),
        "exceptions": sums.total(metrics.DJANGO_EXCEPTIONS),
        "durations": durations,
        "routes": [_route(name, served) for name, served in busiest],
    }


def _route(name: str, served: _Served) -> Route:
    durations = served.spread.durations()
    requests = 0 if durations is None else durations["count"]
    return {"route": name, "requests": requests, "errors": served.errors, "durations": durations}


def _database(sums: Sums, status: State | None) -> Database:
    state = names.DB_CLIENT_CONNECTION_STATE
    return {
        "status": status,
        "queries": sums.spread(metrics.DB_CLIENT_OPERATION_DURATION).durations(),
        "slow_queries": sums.total(metrics.DJANGO_DB_SLOW_QUERIES),
        "connection_errors": sums.total(metrics.DJANGO_DB_CONNECTION_ERRORS),
        "connections": sums.by(metrics.DB_CLIENT_CONNECTION_COUNT, state),
        "size_bytes": sums.by(metrics.DJANGO_DB_SIZE, names.DJANGO_DB_ALIAS),
    }


def _cache(sums: Sums, status: State | None) -> Cache:
    def of_redis(definition: MetricDefinition) -> dict[str, float]:
        return sums.by(definition, names.DJANGO_CACHE_ALIAS)

    results = sums.by(metrics.DJANGO_CACHE_OPERATIONS, names.DJANGO_CACHE_RESULT)
    hits, misses = results.get("hit", 0), results.get("miss", 0)
    return {
        "status": status,
        "hits": hits,
        "misses": misses,
        "hit_ratio": round(hits / (hits + misses), 4) if hits or misses else None,
        "memory_bytes": of_redis(metrics.REDIS_MEMORY_USED),
        "keys": of_redis(metrics.REDIS_KEYS),
        "keys_expiring": of_redis(metrics.REDIS_KEYS_EXPIRING),
        "evictions": of_redis(metrics.REDIS_EVICTIONS),
    }


def _celery(sums: Sums, status: State | None) -> Celery:
    queue, worker = names.MESSAGING_DESTINATION_NAME, names.CELERY_WORKER
    return {
        "status": status,
        "workers": sums.by(metrics.CELERY_WORKERS, names.CELERY_WORKER_STATE),
        "queue_lengths": sums.by(metrics.CELERY_QUEUE_LENGTH, queue),
        "oldest_message_age_s": sums.by(metrics.CELERY_QUEUE_OLDEST_MESSAGE_AGE, queue),
        "executions": sums.by(metrics.CELERY_TASK_EXECUTIONS, names.CELERY_TASK_STATE),
        "active_tasks": sums.total(metrics.CELERY_TASK_ACTIVE),
        "response_time_s": sums.by(metrics.CELERY_WORKER_RESPONSE_TIME, worker),
    }


def _api(sums: Sums) -> Api:
    return {
        "requests": sums.total(metrics.DJANGO_API_REQUESTS),
        "throttled": sums.total(metrics.DJANGO_API_THROTTLED),
        "by_route": sums.by(metrics.DJANGO_API_REQUESTS, names.HTTP_ROUTE),
        "active_clients": sums.by(metrics.DJANGO_API_ACTIVE_CLIENTS, names.DJANGO_API_WINDOW),
    }


def _host(sums: Sums) -> Host:
    cpu = sums.by(metrics.SYSTEM_CPU_UTILIZATION, names.CPU_MODE)
    memory = sums.total(metrics.SYSTEM_MEMORY_LIMIT)
    available = sums.total(metrics.SYSTEM_MEMORY_LINUX_AVAILABLE)
    loads = (
        sums.total(metrics.SYSTEM_CPU_LOAD_AVERAGE_1M),
        sums.total(metrics.SYSTEM_CPU_LOAD_AVERAGE_5M),
        sums.total(metrics.SYSTEM_CPU_LOAD_AVERAGE_15M),
    )
    used = None if not memory or available is None else round(1 - available / memory, 4)
    place = names.SYSTEM_FILESYSTEM_MOUNTPOINT
    return {
        "cpu_used_ratio": round(1 - cpu["idle"], 4) if "idle" in cpu else None,
        "memory_bytes": memory,
        "memory_available_bytes": available,
        "memory_used_ratio": used,
        "load_average": [round(load, 2) for load in loads if load is not None],
        "disks_used_ratio": sums.by(metrics.SYSTEM_FILESYSTEM_UTILIZATION, place),
    }
