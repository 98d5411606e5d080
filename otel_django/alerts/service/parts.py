"""The service's parts, made from the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import connections
from opentelemetry.context import Context, attach

from otel_django import metric_definitions as metrics
from otel_django.alerts.configured import configured
from otel_django.alerts.delivery import configured as delivery
from otel_django.alerts.delivery.routes import routes
from otel_django.alerts.delivery.sender import Sender
from otel_django.alerts.delivery.stages import Delivery, planned
from otel_django.alerts.keeping.database import AlertDatabase
from otel_django.alerts.keeping.journal import Journal
from otel_django.alerts.keeping.keeper import AlertKeeper
from otel_django.alerts.service.evaluation import Evaluation
from otel_django.alerts.service.leading import Leading
from otel_django.alerts.telling import Policy
from otel_django.health import active as health
from otel_django.metrics import active as measuring
from otel_django.metrics.host_folder import HostFolder, usable_folder
from otel_django.observers.database_board import DatabaseBoard
from otel_django.observers.folder_board import FolderBoard
from otel_django.private_folder import temporary_run_dir
from otel_django.tracing.current import SUPPRESS_KEY

if TYPE_CHECKING:
    from otel_django.alerts.delivery.contract import Channel
    from otel_django.alerts.evaluate import Source
    from otel_django.alerts.keeping.contract import Attempt
    from otel_django.alerts.rules import Rule
    from otel_django.clock import Clock
    from otel_django.conf import Settings


def folder(settings: Settings) -> HostFolder | None:
    """Where this host's processes meet."""
    return usable_folder(settings.run_dir, settings.service_name, pause=lambda: None)


def leading(settings: Settings, folder: HostFolder | None, owner: str, clock: Clock) -> Leading:
    """Who evaluates, over all hosts."""
    board = None if folder is None else FolderBoard(folder)
    return Leading(DatabaseBoard(settings.database), lambda: board, owner=owner, clock=clock)


def keeper(settings: Settings, folder: HostFolder | None) -> AlertKeeper:
    """The site's database, with the journal beside this host's sums."""
    path = temporary_run_dir(settings.run_dir) if folder is None else folder.path
    return AlertKeeper(AlertDatabase(settings.database), Journal(path))


def evaluation(
    settings: Settings,
    keeper: AlertKeeper,
    source: Callable[[], Source],
    channels: Mapping[str, Channel],
    interval_s: float,
) -> Evaluation:
    """The site's rules, told of as its settings say."""
    told = Delivery(
        routes=routes(settings.alert_routes, channels),
        group_by=settings.alerts_group_by,
        group_interval_s=settings.alerts_group_interval_s,
        site_url=settings.alerts_site_url,
    )
    return Evaluation(
        keeper=keeper,
        rules=partial(_rules, settings),
        source=source,
        announce=lambda notices, entries, rules, now_ms, newest: planned(
            notices, entries, rules, told, now_ms, newest
        ),
        policy=Policy(int(settings.alerts_repeat_s), tuple(settings.alerts_escalate_s)),
        interval_s=interval_s,
    )


def _rules(settings: Settings, rows: Sequence[Mapping[str, Any]]) -> Sequence[Rule]:
    """Those of the catalogue know which health checks are critical on this site."""
    checks = health.engine().registry.checks("all")
    return configured(settings, [check.name for check in checks if check.critical], rows).rules


def channels(settings: Settings) -> Mapping[str, Channel]:
    """Those that alerts are told by."""
    return delivery.channels(settings)


def sender(
    settings: Settings, channels: Mapping[str, Channel], keeper: AlertKeeper, clock: Clock
) -> Sender:
    """Who delivers; each attempt is measured."""
    return Sender(
        channels,
        keeper,
        timeout_s=settings.alerts_timeout_s,
        measure=_measure,
        clock=clock,
    )


def _measure(attempt: Attempt) -> None:
    recorder = measuring.recorder()
    if recorder is not None:
        counter = recorder.counter(metrics.ALERTS_NOTIFICATIONS)
        counter.add(1, (attempt.channel, attempt.result))


def around(run: Callable[[], object]) -> None:
    """On a thread of ours: its queries are no spans, and its connections end with it."""
    attach(Context({SUPPRESS_KEY: True}))
    try:
        run()
    finally:
        connections.close_all()
