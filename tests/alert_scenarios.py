"""For every alert rule series that are quiet, then at fault, then quiet again."""

from __future__ import annotations

from typing import NamedTuple

from otel_django import metric_definitions as metrics
from otel_django.alerts.promql import PRESENCE
from otel_django.metric_points import MetricDefinition
from tests.alert_series import Told, counted, flat, histogram


class Scenario(NamedTuple):
    """``fires`` are the severities that have to fire; the last step is quiet."""

    rule: str
    told: list[Told]
    steps: int
    fires: set[str]
    step_s: int = 15
    name: str = ""

    def __str__(self) -> str:
        return f"{self.rule} {self.name}".strip()


BOTH = {"warning", "critical"}
QUIET, WARN, BAD, AFTER = 30, 60, 20, 100
STEPS = QUIET + WARN + BAD + AFTER


def phases(quiet: float, warn: float, bad: float, after: float | None = None) -> list[float]:
    """15 s a step: 7.5 min well, 15 min a little wrong, 5 min very wrong, 25 min well."""
    values = ((QUIET, quiet), (WARN, warn), (BAD, bad), (AFTER, quiet if after is None else after))
    return [value for steps, value in values for _ in range(steps)]


def presence(steps: int = STEPS) -> Told:
    """A process that was heard of all the time."""
    return Told(PRESENCE, counted([1.0] * steps), cpu__mode="user")


def requests(failing: list[float], *, reset_at: int = -1, **labels: str) -> list[Told]:
    """A hundred requests a step, of which a share fails."""
    metric = metrics.HTTP_SERVER_REQUEST_DURATION
    shares = {"200": [1 - share for share in failing], "500": failing}
    return [
        Told(
            metric,
            counted((100 * share for share in course), begin=5000, reset_at=reset_at),
            "count",
            **labels,
            http__response__status_code=status,
        )
        for status, course in shares.items()
    ]


def gauge(rule: str, told: Told, fires: set[str], steps: int = STEPS) -> Scenario:
    return Scenario(rule, [told], steps, fires)


def check(name: str, bad_steps: int) -> Told:
    course = flat((QUIET, 1), (bad_steps, 0), (20, 0.5), (40, 1))
    return Told(metrics.HEALTH_CHECK_STATUS, course, health__check__name=name)


def errors_in(metric: MetricDefinition, gains: dict[int, float], **labels: str) -> list[Told]:
    """A counter that begins with its first gain."""
    first = min(gains)
    course: list[float | None] = [*counted(gains.get(step, 0) for step in range(STEPS))]
    return [presence(), Told(metric, [*[None] * first, *course[first:]], **labels)]


def tasks(failing: list[float]) -> list[Told]:
    labels = {"celery__task__name": "shop.pay", "messaging__destination__name": "celery"}
    return [
        Told(
            metrics.CELERY_TASK_EXECUTIONS,
            counted(
                (20 * (share if state == "failure" else 1 - share) for share in failing), begin=500
            ),
            **labels,
            celery__task__state=state,
        )
        for state in ("success", "failure")
    ]


def cache(hits: list[float]) -> list[Told]:
    return [
        Told(
            metrics.DJANGO_CACHE_OPERATIONS,
            counted(50 * (share if result == "hit" else 1 - share) for share in hits),
            django__cache__alias="default",
            django__cache__result=result,
        )
        for result in ("hit", "miss")
    ]


def queue(course: list[float | None] | list[float]) -> Told:
    return Told(metrics.CELERY_QUEUE_LENGTH, course, messaging__destination__name="celery")


def workers(course: list[float]) -> Told:
    return Told(metrics.CELERY_WORKERS, course, celery__worker__state="online")


def stuck() -> Scenario:
    """A queue that fills, of which no task ends for longer than ten minutes."""
    ends = flat((40, 5.0), (60, 0.0), (60, 5.0))
    executions = Told(
        metrics.CELERY_TASK_EXECUTIONS,
        counted(gain or 0 for gain in ends),
        messaging__destination__name="celery",
        celery__task__state="success",
    )
    told = [presence(160), executions, queue(flat((20, 0), (80, 7), (60, 0)))]
    return Scenario("StuckTask", told, 160, {"critical"})


def disk(rule: str, course: list[float], fires: set[str], step_s: int = 15) -> Scenario:
    told = Told(
        metrics.SYSTEM_FILESYSTEM_UTILIZATION,
        course,
        system__device="/dev/sda1",
        system__filesystem__mountpoint="/",
    )
    return Scenario(rule, [told], len(course), fires, step_s)


def filling() -> list[float]:
    """Two-minute steps: nine hours as it is, six hours that fill it in 20 hours, six in three."""
    course = [0.5] * 270
    for per_hour, steps in ((0.02, 180), (0.1, 100), (0.0, 360)):
        course += [course[-1] + per_hour / 30 * (step + 1) for step in range(steps)]
    return course


def burning(shares: list[tuple[int, float]]) -> list[Told]:
    return requests([share for steps, share in shares for _ in range(steps)])


CPU = [
    Told(metrics.SYSTEM_CPU_UTILIZATION, phases(*busy), cpu__mode=mode)
    for mode, busy in {
        "user": (0.3, 0.7, 0.85),
        "system": (0.1, 0.15, 0.15),
        "idle": (0.6, 0.15, 0.0),
    }.items()
]
SCENARIOS = [
    Scenario("HighErrorRate", requests(phases(0.001, 0.03, 0.5)), STEPS, BOTH),
    Scenario(
        "HighErrorRate",
        [
            *requests(phases(0, 0.03, 0.5), reset_at=60),
            *requests(phases(0, 0, 0.1), service__instance__id="web-2/shop/web"),
            *requests(phases(0, 0, 0), service__name="other"),
        ],
        STEPS,
        BOTH,
        name="with a restart and several instances",
    ),
    Scenario(
        "HighResponseTime",
        histogram(metrics.HTTP_SERVER_REQUEST_DURATION, phases(0.2, 1.6, 1.6)),
        STEPS,
        {"warning"},
    ),
    Scenario(
        "VeryHighResponseTime",
        histogram(metrics.HTTP_SERVER_REQUEST_DURATION, phases(0.2, 1.6, 4)),
        STEPS,
        {"critical"},
    ),
    Scenario(
        "SlowMeanResponse",
        histogram(metrics.HTTP_SERVER_REQUEST_DURATION, phases(0.2, 1.3, 6)),
        STEPS,
        BOTH,
    ),
    Scenario(
        "SlowDatabaseQueries",
        histogram(
            metrics.DB_CLIENT_OPERATION_DURATION, phases(0.004, 0.3, 0.3), db__namespace="shop"
        ),
        STEPS,
        {"warning"},
    ),
    Scenario(
        "SlowMeanQuery",
        histogram(
            metrics.DB_CLIENT_OPERATION_DURATION, phases(0.004, 0.7, 2), db__namespace="shop"
        ),
        STEPS,
        {"warning"},
    ),
    Scenario(
        "DatabaseConnectionErrors",
        errors_in(metrics.DJANGO_DB_CONNECTION_ERRORS, {40: 1}, django__db__alias="default"),
        STEPS,
        {"critical"},
        name="the first of all",
    ),
    Scenario(
        "DatabaseConnectionErrors",
        errors_in(metrics.DJANGO_DB_CONNECTION_ERRORS, {0: 3, 60: 2}, django__db__alias="default"),
        STEPS,
        {"critical"},
        name="later ones",
    ),
    gauge(
        "DatabaseConnectionsExhausted",
        Told(
            metrics.DJANGO_DB_CONNECTION_UTILIZATION,
            phases(0.4, 0.85, 0.97),
            django__db__alias="default",
        ),
        BOTH,
    ),
    Scenario(
        "HighQueryCount",
        histogram(metrics.DJANGO_REQUEST_DB_QUERIES, phases(7, 80, 80), http__route="/cart/"),
        STEPS,
        {"warning"},
    ),
    Scenario(
        "LowCacheHitRate",
        cache([*[0.9] * 60, *[0.1] * 40, *[0.9] * 110]),
        STEPS,
        set(),
        name="for a while",
    ),
    Scenario(
        "LowCacheHitRate",
        cache([*[0.9] * 60, *[0.0] * 160, *[0.95] * 100]),
        320,
        {"warning"},
        name="for long",
    ),
    Scenario("HighCpu", CPU, STEPS, BOTH),
    gauge(
        "HighMemory",
        Told(
            metrics.SYSTEM_MEMORY_UTILIZATION, phases(0.51, 0.9, 0.99), system__memory__state="used"
        ),
        BOTH,
    ),
    disk("DiskFull", phases(0.51, 0.92, 0.99), BOTH),
    disk("DiskFullSoon", filling(), BOTH, 120),
    Scenario("JobFailureRate", tasks(phases(0.013, 0.123, 0.9)), STEPS, BOTH),
    gauge("QueueBacklog", queue(phases(10, 2000, 20_000)), BOTH),
    gauge(
        "QueueGrowing",
        queue([*[5.0] * 40, *[5.0 + step for step in range(80)], *[85.0] * 40]),
        {"warning"},
        160,
    ),
    Scenario(
        "QueueWait",
        histogram(
            metrics.CELERY_TASK_QUEUE_WAIT,
            phases(2, 200, 1500),
            messaging__destination__name="celery",
        ),
        STEPS,
        BOTH,
    ),
    Scenario(
        "NoWorkers",
        [workers(phases(2, 0, 0)), queue(flat((40, 0), (60, 3), (110, 0)))],
        STEPS,
        {"critical"},
    ),
    Scenario(
        "NoWorkers",
        [workers(phases(2, 0, 0)), queue(flat((STEPS, 0)))],
        STEPS,
        set(),
        name="and no tasks",
    ),
    stuck(),
    Scenario(
        "BeatMissedRun",
        errors_in(
            metrics.CELERY_BEAT_MISSED_RUNS,
            {20: 1, 60: 1, 70: 1, 80: 2},
            celery__beat__entry="tidy",
        ),
        STEPS,
        BOTH,
    ),
    gauge("HealthCheckFailing", check("disk", 20), {"warning"}, 110),
    gauge("HealthCheckFailing", check("database", 20), {"critical"}, 110),
    gauge("CollectorUnreachable", check("collector", 60), BOTH, 150),
    gauge("MonitoringStale", check("monitoring", 20), {"critical"}, 110),
    gauge(
        "HealthScoreLow",
        Told(metrics.HEALTH_SCORE, phases(100, 70, 10), health__check__group="all"),
        BOTH,
    ),
    Scenario(
        "SloBurnFast",
        burning([(300, 0.0), (80, 0.1), (300, 0.0)]),
        680,
        {"critical"},
    ),
    Scenario(
        "SloBurnSlow",
        burning([(100, 0.0), (80, 0.05), (60, 0.0)]),
        240,
        {"critical"},
        120,
    ),
    Scenario(
        "SloBurnTicket",
        burning([(100, 0.0), (400, 0.0031), (300, 0.0)]),
        800,
        {"warning"},
        300,
    ),
    Scenario(
        "TelemetryDropped",
        errors_in(
            metrics.OTEL_DJANGO_DROPPED,
            dict.fromkeys(range(40, 80), 5.0),
            otel_django__signal="traces",
            otel_django__cause="spool_full",
        ),
        STEPS,
        {"warning"},
    ),
]
