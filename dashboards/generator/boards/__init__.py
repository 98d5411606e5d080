"""The boards, one file each."""

from dashboards.generator.boards import (
    cache,
    celery,
    database,
    endpoints,
    hosts,
    logs,
    monitors,
    objectives,
    orm,
    overview,
    telemetry,
)

BOARDS = (
    overview.BOARD,
    endpoints.BOARD,
    database.BOARD,
    orm.BOARD,
    cache.BOARD,
    celery.BOARD,
    hosts.BOARD,
    logs.BOARD,
    objectives.BOARD,
    telemetry.BOARD,
    monitors.BOARD,
)
