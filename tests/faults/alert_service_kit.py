"""The service as processes, what it looks at, and the receivers of four channels."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from otel_django import metric_definitions as metrics
from otel_django import names
from otel_django.alerts.liveness import LEASE
from otel_django.metric_points import Metric, NumberPoint
from otel_django.models import AlertNotification, Lease
from otel_django.store.metric_writer import MetricWriter
from otel_django.store.writer import StoreWriter
from tests import alert_stubs as stubs
from tests.integration.servers import Server
from tests.servers.test_run_monitoring import Monitoring, environ_of, manage, monitoring
from tests.site.databases import database_alias
from tests.store_metrics import of
from tests.store_spans import Losses

ALIAS: Final = "service"
TOO_LONG: Final = 100_000.0
"""A hundred times what a queue should hold: QueueBacklog, critical at once."""


class QueueLengths:
    """Lengths of queues in an embedded store, as an observer tells them."""

    def __init__(self, path: Path) -> None:
        losses = Losses()
        self.lengths: dict[str, float] = {}
        store = StoreWriter(path, retention_hours=24, max_mb=256, drops=losses)
        self._writer = MetricWriter(store.file, drops=losses)
        self._began_ns = time.time_ns()

    def tell(self) -> None:
        """As they are now."""
        definition = metrics.CELERY_QUEUE_LENGTH
        points = tuple(
            NumberPoint(
                ((names.MESSAGING_DESTINATION_NAME, name),), length, self._began_ns, time.time_ns()
            )
            for name, length in self.lengths.items()
        )
        made = Metric(definition.name, definition.unit, "", definition.kind, points)
        self._writer.take([of(made)])
        self._writer.flush(time.monotonic() + 10)

    def close(self) -> None:
        self._writer.close(time.monotonic() + 10)


@dataclass
class Receivers:
    """They take what is sent by four channels."""

    webhook: stubs.AlertStub
    slack: stubs.AlertStub
    pagerduty: stubs.AlertStub
    mailbox: stubs.Mailbox
    smtp_port: int

    def environ(self) -> dict[str, str]:
        """What makes a site tell them."""
        return {
            "DJANGO_SETTINGS_MODULE": "tests.site.settings_with_alerts",
            "TESTS_SMTP_PORT": str(self.smtp_port),
            "ALERT_EMAIL_TO": "ops@shop.example",
            "SLACK_WEBHOOK_URL": self.slack.url,
            "PAGERDUTY_ROUTING_KEY": "k" * 32,
            "PAGERDUTY_EVENTS_URL": self.pagerduty.url,
            "ALERT_WEBHOOK_URL": self.webhook.url,
            "ALERT_LOG_ENABLED": "false",
            "OTEL_DJANGO_ALERTS_SITE_URL": "https://shop.example/monitoring/",
        }

    def misbehave(self, chance: random.Random, times: int) -> None:
        """To so many requests each: too many, an error, no answer in time, a full mailbox."""
        for _ in range(times):
            asked = stubs.Answer(429, {"Retry-After": str(chance.randint(1, 3))})
            self.webhook.answers.append(chance.choice([asked, stubs.Answer()]))
            self.pagerduty.answers.append(chance.choice([stubs.Answer(500), stubs.Answer(202)]))
            late = stubs.Answer(504, delay_s=3)  # the service waits for two seconds
            self.slack.answers.append(chance.choice([late, stubs.Answer(), stubs.Answer()]))
            self.mailbox.refuse.append("451 try again later")

    def taken(self) -> dict[str, list[str]]:
        """What each took, as ``name_of`` has it, doubles and all."""
        return {
            "webhook": [one.headers["Idempotency-Key"] for one in self.webhook.taken],
            "slack": [one.headers["Idempotency-Key"] for one in self.slack.taken],
            "email": [
                str(one["Message-ID"])[1:].partition("@")[0] for one in self.mailbox.messages
            ],
            "pagerduty": [
                f"{one['dedup_key']} {one['event_action']}" for one in self.pagerduty.documents
            ],
        }


def _key_of(message_id: str) -> str:
    return message_id.strip("<>").partition("@")[0]


def name_of(row: AlertNotification) -> str:
    """By which a receiver knows a notification."""
    if row.channel != "pagerduty":
        return str(row.key)
    return f"{row.group} {'resolve' if row.kind == 'resolved' else 'trigger'}"


@contextlib.contextmanager
def receivers() -> Iterator[Receivers]:
    with (
        stubs.webhook() as webhook,
        stubs.slack() as slack,
        stubs.pagerduty() as pagerduty,
        stubs.mail_server() as (mailbox, port),
    ):
        yield Receivers(webhook, slack, pagerduty, mailbox, port)


class Site:
    """A site with its database, its store and its receivers."""

    def __init__(self, folder: Path, told: Receivers, queues: QueueLengths, **more: str) -> None:
        self.folder = folder
        self.told = told
        self.queues = queues
        self.environ = environ_of(folder, **{**told.environ(), **more})

    @contextlib.contextmanager
    def service(self, host: str, *options: str) -> Iterator[Monitoring]:
        """The service on a host of that name."""
        own = {"OTEL_DJANGO_RUN_DIR": str(self.folder / host)}
        log = self.folder / f"{host}.{time.monotonic_ns()}.log"
        with monitoring({**self.environ, **own}, log, *options) as running:
            yield running

    def notifications(self) -> list[AlertNotification]:
        return list(AlertNotification._base_manager.using(ALIAS).order_by("id"))

    def waiting(self) -> list[AlertNotification]:
        return [row for row in self.notifications() if row.state == "waiting"]

    def evaluated(self) -> bool:
        """Whether an evaluation has ended."""
        leases = Lease._base_manager.using(ALIAS).filter(name=LEASE)
        return bool(leases.exclude(result="").exists())

    def let_lease_run_out(self) -> None:
        """As if its twenty seconds had passed: who had it is dead."""
        Lease._base_manager.using(ALIAS).update(until_ms=0)


@contextlib.contextmanager
def site(folder: Path, server: Server | None = None, **more: str) -> Iterator[Site]:
    """With its database in a file, or in a server of PostgreSQL."""
    where: dict[str, Any] = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(folder / "site.sqlite3"),
    }
    if server is not None:
        more.setdefault("TESTS_POSTGRESQL_PORT", str(server.port))
        named = {"NAME": "postgres", "USER": "postgres", "HOST": "127.0.0.1"}
        where = {"ENGINE": "django.db.backends.postgresql", "PORT": server.port, **named}
    with receivers() as told, database_alias(ALIAS, **where):
        queues = QueueLengths(folder / "store.sqlite3")
        made = Site(folder, told, queues, **more)
        try:
            done = manage(made.environ, "migrate", "-v0")
            assert done.returncode == 0, done.stderr
            yield made
        finally:
            queues.close()


def kill(running: Monitoring) -> None:
    running.process.send_signal(signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.process.wait(10)


def leads(running: Monitoring) -> bool:
    """By its log."""
    said = running.output()
    return said.rfind("evaluates alerts from now on") > said.rfind("doesn't evaluate alerts")


def queue_of(row: AlertNotification) -> str:
    """The queue that a notification is about; empty of all else."""
    group: Mapping[str, str] = json.loads(row.document).get("group", {})
    if group.get("alertname") != "QueueBacklog":
        return ""
    return group.get(names.MESSAGING_DESTINATION_NAME, "")
