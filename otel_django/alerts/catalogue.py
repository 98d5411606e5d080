"""The alert rules that come with the package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from otel_django import metric_definitions as metrics
from otel_django import names
from otel_django.alerts import slo
from otel_django.alerts.expressions import (
    BY_SERVICE,
    ErrorGroups,
    Expression,
    Growing,
    Increase,
    Level,
    Match,
    Mean,
    OnlyPromql,
    Operator,
    Quantile,
    Rate,
    Ratio,
    Scaled,
    Trend,
    When,
    select,
)
from otel_django.alerts.rules import RUNBOOKS, Rule, Threshold
from otel_django.conf.alert_thresholds import DEFAULTS

MINUTE_S: Final = 60
HOUR_S: Final = 3600
DAY_S: Final = 86400
CRITICAL_CHECKS: Final = ("cache", "celery_broker", "database", "migrations")
"""Health checks that are critical by default."""

_QUEUE: Final = names.MESSAGING_DESTINATION_NAME
_BY_QUEUE: Final = (names.SERVICE_NAME, _QUEUE)
_BY_HOST: Final = (names.SERVICE_NAME, names.SERVICE_INSTANCE_ID)
_BY_DISK: Final = (*_BY_HOST, names.SYSTEM_FILESYSTEM_MOUNTPOINT)
_BY_CHECK: Final = (
    names.SERVICE_NAME,
    names.HEALTH_CHECK_NAME,
    names.HEALTH_CHECK_INSTANCE,
)
_MONITORING: Final = "monitoring"
"""The health check that looks whether alerts are evaluated."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """What the rules are made for.

    ``interval_s`` is how far apart the points of a metric are. ``thresholds`` are those that a site
    set, by rule and severity: ``HighCpu_warning``.
    """

    interval_s: int = 15
    queue_capacity: float = 1000
    stuck_s: int = 600
    critical_checks: tuple[str, ...] = CRITICAL_CHECKS
    availability: float = 0.999
    thresholds: Mapping[str, float] = field(default_factory=dict)


def rules(parameters: Parameters | None = None) -> tuple[Rule, ...]:
    """All of them.

    Raises:
        RuleError: the parameters make a rule that can't be evaluated.
    """
    given = parameters or Parameters()
    made = (
        *_requests(),
        *_database(given),
        *_cache(),
        *_host(),
        *_tasks(given),
        *_health(given),
        *_errors(),
        *_objectives(given),
        *_monitoring(),
    )
    return tuple(_with_thresholds(rule, given.thresholds) for rule in made)


def _with_thresholds(rule: Rule, values: Mapping[str, float]) -> Rule:
    found = {
        severity: values[f"{rule.name}_{severity}"]
        for severity in rule.severities
        if f"{rule.name}_{severity}" in values
    }
    return rule.with_thresholds(found)


def _rule(
    name: str,
    expression: Expression,
    operator: Operator,
    summary: str,
    description: str,
    *,
    warning_for_s: int = 0,
    critical_for_s: int = 0,
    critical_of: Expression | None = None,
    page: str = "",
) -> Rule:
    default = DEFAULTS[name]
    return Rule(
        name,
        expression,
        operator,
        summary,
        description,
        warning=None if default.warning is None else Threshold(default.warning, warning_for_s),
        critical=None
        if default.critical is None
        else Threshold(default.critical, critical_for_s, critical_of),
        unit=default.unit,
        page=page,
        runbook=f"{RUNBOOKS}/{name}.md",
    )


# --- requests and databases


def _requests() -> Iterator[Rule]:
    duration = select(metrics.HTTP_SERVER_REQUEST_DURATION)
    window_s = 5 * MINUTE_S
    yield _rule(
        "HighErrorRate",
        Scaled(slo.failures(window_s), 100),
        ">",
        "{value} % of the requests to {service.name} fail",
        "The share of requests of the last five minutes that were answered with 5xx.",
        warning_for_s=MINUTE_S,
        page="traces/?q=status:5xx",
    )
    yield _rule(
        "HighResponseTime",
        Quantile(duration, 0.95, window_s),
        ">",
        "One in 20 requests to {service.name} takes longer than {value} s",
        "The 95th percentile of the requests' durations of the last five minutes.",
        warning_for_s=5 * MINUTE_S,
        page="endpoints/?sort=p95_ns",
    )
    yield _rule(
        "VeryHighResponseTime",
        Quantile(duration, 0.99, window_s),
        ">",
        "One in 100 requests to {service.name} takes longer than {value} s",
        "The 99th percentile of the requests' durations of the last five minutes.",
        page="endpoints/?sort=p99_ns",
    )
    yield _rule(
        "SlowMeanResponse",
        Scaled(Mean(duration, window_s), 1000),
        ">",
        "Requests to {service.name} take {value} ms in the mean",
        "The mean duration of the requests of the last five minutes.",
        warning_for_s=5 * MINUTE_S,
        page="endpoints/",
    )


def _database(given: Parameters) -> Iterator[Rule]:
    duration = select(metrics.DB_CLIENT_OPERATION_DURATION)
    by = (names.SERVICE_NAME, names.DB_NAMESPACE)
    window_s = 5 * MINUTE_S
    yield _rule(
        "SlowDatabaseQueries",
        Scaled(Quantile(duration, 0.95, window_s, by), 1000),
        ">",
        "One in 20 queries of {service.name} to {db.namespace} takes longer than {value} ms",
        "The 95th percentile of the durations of database calls of the last five minutes.",
        warning_for_s=5 * MINUTE_S,
        page="performance/queries/",
    )
    yield _rule(
        "SlowMeanQuery",
        Scaled(Mean(duration, window_s, by), 1000),
        ">",
        "Queries of {service.name} to {db.namespace} take {value} ms in the mean",
        "The mean duration of the database calls of the last five minutes.",
        warning_for_s=5 * MINUTE_S,
        page="performance/queries/",
    )
    yield _rule(
        "DatabaseConnectionErrors",
        Increase(
            select(metrics.DJANGO_DB_CONNECTION_ERRORS),
            max(MINUTE_S, 4 * given.interval_s),
            (names.SERVICE_NAME, names.DJANGO_DB_ALIAS),
        ),
        ">=",
        "{service.name} could not connect to the database {django.db.alias} {value} times",
        "Attempts of the last minute to connect to a database that failed.",
        page="logs/?q=level:error",
    )
    yield _rule(
        "DatabaseConnectionsExhausted",
        Scaled(
            Level(
                select(metrics.DJANGO_DB_CONNECTION_UTILIZATION),
                by=(names.SERVICE_NAME, names.DJANGO_DB_ALIAS),
            ),
            100,
        ),
        ">",
        "{value} % of the connections that the database {django.db.alias} allows are in use",
        "The share of the server's connections that is in use, whoever uses them.",
        warning_for_s=MINUTE_S,
        page="performance/queries/",
    )
    yield _rule(
        "HighQueryCount",
        Quantile(
            select(metrics.DJANGO_REQUEST_DB_QUERIES),
            0.95,
            15 * MINUTE_S,
            (names.SERVICE_NAME, names.HTTP_ROUTE),
        ),
        ">",
        "One in 20 requests to {http.route} makes more than {value} queries",
        "The 95th percentile of the number of database queries of a request, by route.",
        warning_for_s=5 * MINUTE_S,
        page="endpoints/?sort=queries",
    )


def _cache() -> Iterator[Rule]:
    by = (names.SERVICE_NAME, names.DJANGO_CACHE_ALIAS)
    window_s = 15 * MINUTE_S

    def of(results: str) -> Rate:
        found = Match(names.DJANGO_CACHE_RESULT, "=~", results)
        return Rate(select(metrics.DJANGO_CACHE_OPERATIONS, found), window_s, by)

    yield _rule(
        "LowCacheHitRate",
        Scaled(Ratio(of("hit"), of("hit|miss")), 100),
        "<",
        "Only {value} % of what {service.name} looks for is in the cache {django.cache.alias}",
        "The share of keys looked up in a cache in the last 15 minutes that were there.",
        warning_for_s=15 * MINUTE_S,
        page="performance/cache/",
    )


# --- the host


def _host() -> Iterator[Rule]:
    busy = Match(names.CPU_MODE, "!~", "idle|iowait")
    used = Match(names.SYSTEM_MEMORY_STATE, "=", "used")
    filesystem = select(metrics.SYSTEM_FILESYSTEM_UTILIZATION)
    window_s = 5 * MINUTE_S
    yield _rule(
        "HighCpu",
        Scaled(
            Level(select(metrics.SYSTEM_CPU_UTILIZATION, busy), "avg", window_s, _BY_HOST, "sum"),
            100,
        ),
        ">",
        "The processors of {service.instance.id} are {value} % busy",
        "The share of all processors' time that was used in the last five minutes.",
        warning_for_s=5 * MINUTE_S,
        page="services/",
    )
    yield _rule(
        "HighMemory",
        Scaled(
            Level(select(metrics.SYSTEM_MEMORY_UTILIZATION, used), "avg", window_s, _BY_HOST), 100
        ),
        ">",
        "{value} % of the memory of {service.instance.id} is used",
        "The share of the host's memory that was used in the last five minutes.",
        warning_for_s=5 * MINUTE_S,
        page="services/",
    )
    yield _rule(
        "DiskFull",
        Scaled(Level(filesystem, "avg", window_s, _BY_DISK), 100),
        ">",
        "{system.filesystem.mountpoint} of {service.instance.id} is {value} % full",
        "The share of a file system that was used in the last five minutes.",
        warning_for_s=5 * MINUTE_S,
        page="services/",
    )
    yield _rule(
        "DiskFullSoon",
        Scaled(Trend(filesystem, 6 * HOUR_S, by=_BY_DISK), 1 / HOUR_S),
        "<",
        "{system.filesystem.mountpoint} of {service.instance.id} is full in {value} hours",
        "When a file system is full if it fills as in the last six hours.",
        warning_for_s=30 * MINUTE_S,
        page="services/",
    )


# --- tasks


def _tasks(given: Parameters) -> Iterator[Rule]:
    by_task = (names.SERVICE_NAME, names.CELERY_TASK_NAME)
    # Its classic metric has the same name, and another label.
    length = select(metrics.CELERY_QUEUE_LENGTH, Match(_QUEUE, "!=", ""))
    executions = select(metrics.CELERY_TASK_EXECUTIONS)
    failed = select(metrics.CELERY_TASK_EXECUTIONS, Match(names.CELERY_TASK_STATE, "=", "failure"))
    window_s = 15 * MINUTE_S
    yield _rule(
        "JobFailureRate",
        Scaled(Ratio(Rate(failed, window_s, by_task), Rate(executions, window_s, by_task)), 100),
        ">",
        "{value} % of the runs of {celery.task.name} fail",
        "The share of a task's runs of the last 15 minutes that failed.",
        warning_for_s=5 * MINUTE_S,
        page="tasks/",
    )
    yield _rule(
        "QueueBacklog",
        Scaled(Level(length, by=_BY_QUEUE), 1 / given.queue_capacity),
        ">=",
        "The queue {messaging.destination.name} holds {value} times what it should",
        "The length of a queue over its capacity.",
        warning_for_s=5 * MINUTE_S,
        page="tasks/",
    )
    yield _rule(
        "QueueGrowing",
        Growing(length, window_s, _BY_QUEUE),
        ">",
        "The queue {messaging.destination.name} has grown by {value} tasks in 15 minutes",
        "A queue was longer every three minutes, for 15 minutes: workers don't keep up.",
        page="tasks/",
    )
    yield _rule(
        "QueueWait",
        Quantile(select(metrics.CELERY_TASK_QUEUE_WAIT), 0.95, 5 * MINUTE_S, _BY_QUEUE),
        ">",
        "One in 20 tasks waits longer than {value} s in {messaging.destination.name}",
        "The 95th percentile of the time from sending a task, or its eta, until it starts.",
        warning_for_s=5 * MINUTE_S,
        page="tasks/",
    )
    online = select(metrics.CELERY_WORKERS, Match(names.CELERY_WORKER_STATE, "=", "online"))
    yield _rule(
        "NoWorkers",
        # The least, because a worker that was killed may itself have told that it is there.
        When(Level(online, combine="min"), Level(length), ">", 0, BY_SERVICE),
        "<=",
        "Tasks of {service.name} wait and {value} workers are alive",
        "A queue holds tasks, and no worker that can be heard of works.",
        page="tasks/",
    )
    yield _rule(
        "StuckTask",
        When(
            When(
                Level(length, "min", given.stuck_s, (_QUEUE,)),
                Level(length, by=(_QUEUE,), ago_s=given.stuck_s),
                ">",
                0,
                (_QUEUE,),
            ),
            Increase(executions, given.stuck_s, (_QUEUE,)),
            ">",
            0,
            (_QUEUE,),
            unless=True,
        ),
        ">=",
        "No task of the queue {messaging.destination.name} ends, and {value} or more wait",
        f"The queue was never empty for {given.stuck_s} s (`OTEL_DJANGO_STUCK_S`), and no task of "
        "it ended.",
        page="tasks/",
    )
    yield _rule(
        "BeatMissedRun",
        Increase(
            select(metrics.CELERY_BEAT_MISSED_RUNS),
            window_s,
            (names.SERVICE_NAME, names.CELERY_BEAT_ENTRY),
        ),
        ">=",
        "Beat did not send {celery.beat.entry} {value} times when it was due",
        "Runs of beat's schedule that did not come in the last 15 minutes.",
        page="tasks/",
    )


# --- health and errors


def _health(given: Parameters) -> Iterator[Rule]:
    listed = "|".join(sorted(given.critical_checks)) or "-"
    yield _rule(
        "HealthCheckFailing",
        _check(Match(names.HEALTH_CHECK_NAME, "!~", f"{listed}|collector|{_MONITORING}")),
        "<",
        "The health check {health.check.name} fails",
        "A health check is unhealthy; those that the site can't do without are critical.",
        warning_for_s=MINUTE_S,
        critical_of=_check(Match(names.HEALTH_CHECK_NAME, "=~", listed)),
        page="health/checks/",
    )
    yield _rule(
        "HealthScoreLow",
        Level(
            select(metrics.HEALTH_SCORE, Match(names.HEALTH_CHECK_GROUP, "=", "all")),
            "avg",
            5 * MINUTE_S,
            combine="min",
        ),
        "<",
        "The health of {service.name} is {value} of 100",
        "The mean health of all checks of the last five minutes, critical ones counted thrice.",
        warning_for_s=5 * MINUTE_S,
        page="health/checks/",
    )


def _check(which: Match) -> Level:
    return Level(select(metrics.HEALTH_CHECK_STATUS, which), by=_BY_CHECK, combine="min")


def _errors() -> Iterator[Rule]:
    yield _rule(
        "NewErrorGroup",
        ErrorGroups("new", HOUR_S),
        ">=",
        "{service.name} raises {error.type}, which it never did before",
        "An exception that is like none before was seen for the first time within the last hour.",
        page="errors/",
    )
    yield _rule(
        "ErrorRegression",
        ErrorGroups("regressed", HOUR_S),
        ">=",
        "{service.name} raises {error.type} again, which was resolved",
        "An exception whose group was marked as resolved was seen again.",
        page="errors/",
    )


# --- objectives


def _objectives(given: Parameters) -> Iterator[Rule]:
    availability = slo.availability(given.availability)
    promise = f"of the {given.availability:.10g} that is promised"
    for name, long_s, short_s, words in (
        ("SloBurnFast", HOUR_S, 5 * MINUTE_S, "in the last hour and five minutes"),
        ("SloBurnSlow", 6 * HOUR_S, 30 * MINUTE_S, "in the last six hours and 30 minutes"),
        ("SloBurnTicket", 3 * DAY_S, 6 * HOUR_S, "in the last three days and six hours"),
    ):
        yield _rule(
            name,
            availability.burn_rate(long_s, short_s),
            ">",
            "{service.name} spends its error budget {value} times too fast",
            f"How fast requests fail {words}, {promise}.",
            page="traces/?q=status:5xx",
        )


# --- monitoring itself


def _monitoring() -> Iterator[Rule]:
    yield _rule(
        "TelemetryDropped",
        Increase(
            select(metrics.OTEL_DJANGO_DROPPED),
            5 * MINUTE_S,
            (names.SERVICE_NAME, names.OTEL_DJANGO_SIGNAL, names.OTEL_DJANGO_CAUSE),
        ),
        ">=",
        "{service.name} lost {value} items of {otel_django.signal} ({otel_django.cause})",
        "Spans, points or log records that were lost in the last five minutes.",
        warning_for_s=5 * MINUTE_S,
        page="health/checks/",
    )
    yield _rule(
        "CollectorUnreachable",
        _check(Match(names.HEALTH_CHECK_NAME, "=", "collector")),
        "<",
        "{service.name} can't reach its Collector",
        "The health check `collector` is unhealthy: telemetry waits on disk.",
        warning_for_s=2 * MINUTE_S,
        critical_for_s=10 * MINUTE_S,
        page="health/checks/",
    )
    yield _rule(
        "MonitoringStale",
        _check(Match(names.HEALTH_CHECK_NAME, "=", _MONITORING)),
        "<",
        "The alerts of {service.name} aren't evaluated",
        "The health check `monitoring` is unhealthy: nobody has evaluated the alerts of late.",
        page="health/checks/",
    )
    yield _rule(
        "TargetDown",
        OnlyPromql("up"),
        "<",
        "Prometheus can't scrape {service.instance.id} of {service.name}",
        "A target of Prometheus doesn't answer.",
        critical_for_s=MINUTE_S,
    )
