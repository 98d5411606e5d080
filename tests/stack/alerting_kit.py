"""The shop as the compose file's profile ``full`` runs it, watched by the real programs.

with stand(folder) as site:
    site.collector.kill()
    site.told("TargetDown", job="collector")             # ["firing"]
    site.has("TargetDown", "active", job="collector")    # 1

Windows, times and intervals of rules and of Alertmanager are a twelfth of what is deployed, those
of Prometheus with them; metrics leave the site each second and are scraped every four.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import psycopg

from tests import alert_stubs
from tests.integration import servers
from tests.integration.shop_kit import SHOP
from tests.server_process import ROOT
from tests.stack.stack_kit import Collector, Service, ask, running, wait_until
from tests.stack.watching_kit import TOKEN, Alertmanager, Watching

QUICKER: Final = 12
SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
PATIENCE_S: Final = 60.0
READER: Final = "sesame-of-who-reads"
"""A token of its own: how often one may ask the site is limited for each."""
PAUSE_S: Final = 0.6
SETTLED: Final = 'celery_workers{celery_worker_state="online"} > 0'


def quicker(text: str) -> str:
    """Each time in a configuration or rule file, divided; but for scrapes, which take a while."""

    def scaled(found: re.Match[str]) -> str:
        return f"{int(found[1]) * SECONDS[found[2]] * 1000 // QUICKER}ms"

    text = re.sub(r"\b(\d+)([smhd])\b", scaled, text)
    return re.sub(r"\b(scrape_interval|scrape_timeout): \w+", r"\1: 4s", text)


class QuickAlertmanager(Alertmanager):
    """It keeps what it has told on disk as often as it is told to in the compose file."""

    def command(self) -> list[str]:
        """See the class."""
        return [*super().command(), "--data.maintenance-interval=1s"]


class QuickPrometheus(Watching):
    """What is a minute, or five, by default is a twelfth, too."""

    def command(self) -> list[str]:
        """See the class."""
        return [
            *super().command(),
            f"--query.lookback-delta={300 // QUICKER}s",
            f"--rules.alert.resend-delay={60 // QUICKER}s",
        ]

    def firing(self, name: str, **labels: str) -> bool:
        """Whether the critical alert fires now."""
        wanted = {"alertname": name, "severity": "critical", **labels}.items()
        return any(
            alert["state"] == "firing" and wanted <= alert["labels"].items()
            for alert in ask(f"{self.url}/api/v1/alerts")["data"]["alerts"]
        )


class Program(Service):
    """A process of the shop, which listens on a port."""

    def __init__(self, folder: Path, name: str, *arguments: str) -> None:
        self.name = name
        super().__init__(folder)
        self.arguments = arguments

    def command(self) -> list[str]:
        """See the class."""
        return [sys.executable, *(each.format(port=self.port) for each in self.arguments)]

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    def _is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        return False

    def kill(self) -> None:
        """SIGKILL to it and all that it has forked."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        super().kill()
        wait_until(lambda: not self._is_ready(), PATIENCE_S, f"{self.name} is gone")


class PostgreSQL:
    """Can be stopped, and started again with what it has."""

    def __init__(self, server: servers.Server) -> None:
        self._server = server
        self._folder = Path(server.socket)
        self._is_ours = False

    @property
    def url(self) -> str:
        """As the shop wants it."""
        return f"postgresql://postgres@{self._server.host}:{self._server.port}/postgres"

    def stop(self) -> None:
        """At once, as in a crash."""
        self._control("stop", "-m", "immediate")
        self._is_ours = False

    def end(self) -> None:
        """Stop it if it was started here; else somebody else does."""
        if self._is_ours:
            self.stop()

    def start(self) -> None:
        """Wait until it answers."""
        options = f"-c listen_addresses=127.0.0.1 -p {self._server.port} -k {self._folder}"
        self._control("start", "-o", options, "-l", "again.log")
        self._is_ours = True

    def _control(self, *arguments: str) -> None:
        program = servers.program("/usr/lib/postgresql/*/bin/pg_ctl", "pg_ctl")
        owner = (self._folder / "data").stat()
        account: dict[str, Any] = {}
        if os.geteuid() == 0:  # which PostgreSQL refuses to be
            account = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
        subprocess.run(
            [program, "-w", "-s", "-D", str(self._folder / "data"), *arguments],
            cwd=self._folder,
            check=True,
            timeout=60,
            **account,
        )


class Stand(NamedTuple):
    """All that runs. ``people`` are told by Alertmanager, ``channel`` is a channel of the site."""

    web: Program
    worker: Program
    monitoring: Program
    database: PostgreSQL
    collector: Collector
    prometheus: QuickPrometheus
    alertmanager: QuickAlertmanager
    people: alert_stubs.AlertStub
    channel: alert_stubs.AlertStub

    def told(self, name: str, **labels: str) -> list[str]:
        """What people were told of an alert, one after the other: ``firing``, ``resolved``."""
        return told(self.people, name, **labels)

    def is_heard_of(self, name: str) -> None:
        """Wait until the site has heard that the alert fires, after this began."""
        asked = (
            "SELECT 1 FROM otel_django_systemalert"
            " WHERE alert_type = %s AND NOT resolved AND at_ms > %s"
        )
        given = (name, time.time_ns() // 1_000_000)

        def heard() -> bool:
            with psycopg.connect(self.database.url) as connection:
                return connection.execute(asked, given).fetchone() is not None

        wait_until(heard, PATIENCE_S, f"the site hears of {name}")

    def has(self, name: str, state: Literal["active", "history"], **labels: str) -> int:
        """How often the site has the critical alert, with labels that have these values.

        Raises:
            OSError: it can't be asked.
        """
        time.sleep(PAUSE_S)
        path = f"/monitoring/alerts/?state={state}"
        found = ask(self.web.url + path, Authorization=f"Bearer {READER}")["alerts"]
        return sum(
            (one["name"], one["severity"]) == (name, "critical")
            and set(labels.values()) <= set(one["labels"].values())
            for one in found
        )


def told(people: alert_stubs.AlertStub, name: str, **labels: str) -> list[str]:
    """What a stub was told of a critical alert.

    With news of one alert its whole group is told of: the others do not count.
    """
    wanted = {"alertname": name, "severity": "critical", **labels}.items()
    known: dict[str, str] = {}
    found: list[str] = []
    for document in people.documents:
        alerts = document["alerts"]
        new = [one for one in alerts if known.get(one["fingerprint"]) != one["status"]]
        found += [one["status"] for one in new or alerts if wanted <= one["labels"].items()]
        known |= {one["fingerprint"]: one["status"] for one in alerts}
    return found


@contextlib.contextmanager
def stand(folder: Path) -> Iterator[Stand]:
    """All of it, ready; ended with the block."""
    web = Program(
        *(folder, "web", "-m", "gunicorn", "shop.wsgi:application", "--workers", "2"),
        *("--bind", "127.0.0.1:{port}", "--no-control-socket"),
    )
    worker = Program(
        *(folder, "worker", "-m", "celery", "-A", "shop", "worker", "--concurrency", "2"),
        *("--hostname", "worker@shop"),
    )
    monitoring = Program(folder, "monitoring", "-m", "django", "run_monitoring")
    site = (web, worker, monitoring)
    with (
        servers.postgresql() as postgresql,
        servers.redis() as redis,
        alert_stubs.webhook() as people,
        alert_stubs.webhook() as channel,
    ):
        database = PostgreSQL(postgresql)
        alertmanager = QuickAlertmanager(folder, web.port, [people.url], quicker)
        collector = Collector(folder)
        places = {
            "web:8000": web.port,
            "worker:9808": worker.port,
            "monitoring:9808": monitoring.port,
            "collector:8888": collector.metrics_port,
            "alertmanager:9093": alertmanager.port,
        }
        prometheus = QuickPrometheus(folder, places, quicker)
        collector.environment["PROMETHEUS_OTLP_ENDPOINT"] = f"{prometheus.url}/api/v1/otlp"
        environment = {
            "DJANGO_SETTINGS_MODULE": "shop.production",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{SHOP}",
            "DEMO_DIR": str(folder / "demo"),
            "SHOP_SECRET_KEY": "a key of the tests",
            "SHOP_DATABASE_URL": database.url,
            "SHOP_REDIS_URL": f"redis://{redis.host}:{redis.port}/0",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
            "METRICS_COLLECTION_INTERVAL": "1",
            "OTEL_DJANGO_STORE": "off",
            "OTEL_DJANGO_METRIC_NAMES": "classic",
            "OTEL_DJANGO_METRICS_ACCESS": "none",
            "OTEL_DJANGO_TOKENS": f"{TOKEN},{READER}",
            "OTEL_DJANGO_ALERTS_EVALUATOR": "prometheus",
            "OTEL_DJANGO_ALERTMANAGER_URL": alertmanager.url,
            "OTEL_DJANGO_ALERTS_PRIVATE_ADDRESSES": "any",
            "ALERT_WEBHOOK_URL": channel.url,
        }
        for one in site:
            listening = {} if one is web else {"OTEL_DJANGO_METRICS_LISTEN": one.address}
            one.environment = {**environment, **listening}
        prepare(environment)
        with (
            contextlib.ExitStack() as after,
            running(alertmanager, prometheus, collector),
            running(*site),
        ):
            after.callback(database.end)
            found = Stand(
                *(web, worker, monitoring, database, collector),
                *(prometheus, alertmanager, people, channel),
            )
            wait_until(lambda: prometheus.query(SETTLED), PATIENCE_S, "metrics of the shop")
            yield found


def prepare(environment: Mapping[str, str]) -> None:
    """Tables and products."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "PYTEST_"))}
    passwords = {"DEMO_PASSWORD": "demo", "DEMO_CUSTOMER_PASSWORD": "regular"}
    subprocess.run(
        [sys.executable, "manage.py", "prepare_demo"],
        cwd=SHOP,
        env={**kept, **environment, **passwords, "OTEL_DJANGO_ENABLED": "false"},
        check=True,
        capture_output=True,
    )
