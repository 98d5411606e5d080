"""The compose file's profile "full" without containers: the shop, and all that watches it.

PostgreSQL and Redis with their exporters, gunicorn, Celery's worker and beat, the monitoring
service, Collector, Jaeger, Loki, Prometheus with its rules and scrapes, Alertmanager; no Grafana.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from tests.integration import servers
from tests.integration.servers import Server
from tests.integration.shop_kit import SHOP, Shop, production_environment, shop
from tests.server_process import ROOT, serving
from tests.stack.stack_kit import Collector, Jaeger, Loki, passing_on_to, running
from tests.stack.watching_kit import (
    TOKEN,
    Alertmanager,
    PostgresExporter,
    RedisExporter,
    Watching,
)
from tests.stub_collector_process import free_port

SETTINGS: Final = "shop.production"
DATABASE: Final = "shop_production"
GUNICORN: Final = ("--workers", "2", "--threads", "4")
CELERY: Final = ("-m", "celery", "-A", "shop")
LISTENERS: Final = ("worker", "beat", "monitoring")
"""Processes of the shop that are scraped at a port of their own."""


class WatchedShop(NamedTuple):
    """What runs; ``postgresql`` has the shop's database."""

    shop: Shop
    postgresql: Server
    jaeger: Jaeger
    loki: Loki
    prometheus: Watching


@contextlib.contextmanager
def watched_shop(folder: Path) -> Iterator[WatchedShop]:
    """All of it, ready; ended with the block."""
    with servers.postgresql() as postgresql, servers.redis() as redis:
        ports = {"web": free_port(), **{name: free_port() for name in LISTENERS}}
        jaeger, loki = Jaeger(folder), Loki(folder)
        alertmanager = Alertmanager(folder, ports["web"])
        redis_exporter = RedisExporter(folder, redis.port)
        postgres_exporter = PostgresExporter(folder, postgresql.port, "postgres")
        places = {
            "web:8000": ports["web"],
            **{f"{name}:9808": ports[name] for name in LISTENERS},
            "alertmanager:9093": alertmanager.port,
            "jaeger:16686": jaeger.port,
            "jaeger:8888": int(jaeger.environment["JAEGER_METRICS_PORT"]),
            "loki:3100": loki.port,
            "redis-exporter:9121": redis_exporter.port,
            "postgres-exporter:9187": postgres_exporter.port,
        }
        prometheus = Watching(folder, places)
        collector = Collector(
            folder,
            **passing_on_to(jaeger, loki, prometheus),
            REDIS_ENDPOINT=f"127.0.0.1:{redis.port}",
            POSTGRES_ENDPOINT=f"127.0.0.1:{postgresql.port}",
        )
        prometheus.places |= {
            "prometheus:9090": prometheus.port,
            "collector:4318": collector.port,
            "collector:8888": collector.metrics_port,
        }
        env = {
            **production_environment(postgresql, redis),
            **full_profile(prometheus.places),
            "OTEL_DJANGO_MAX_OVERHEAD": "",  # its default
            "OTEL_METRIC_EXPORT_INTERVAL": "5000",
            "OTEL_DJANGO_TOKENS": TOKEN,
        }
        with (
            running(
                jaeger,
                loki,
                prometheus,
                collector,
                alertmanager,
                redis_exporter,
                postgres_exporter,
            ),
            _shop(folder, env, ports) as started,
        ):
            yield WatchedShop(started, postgresql, jaeger, loki, prometheus)


def full_profile(places: Mapping[str, int]) -> dict[str, str]:
    """The variables of deploy/compose/full.env, with this machine's addresses."""
    text = (ROOT / "deploy/compose/full.env").read_text()
    for place, port in places.items():
        text = text.replace(f"//{place}", f"//127.0.0.1:{port}")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


@contextlib.contextmanager
def _shop(folder: Path, env: dict[str, str], ports: Mapping[str, int]) -> Iterator[Shop]:
    """gunicorn and the worker, beat and the monitoring service."""

    def listening(name: str) -> dict[str, str]:
        return {"OTEL_DJANGO_METRICS_LISTEN": f"127.0.0.1:{ports[name]}"}

    def also(name: str, *command: str) -> contextlib.AbstractContextManager[object]:
        own = {**started.env, **listening(name)}
        python = [sys.executable, *command]
        return serving(lambda _: python, own, cwd=SHOP, ready="/metrics", port=ports[name])

    more = {**env, **listening("worker")}
    with (
        shop(folder, *GUNICORN, settings=SETTINGS, more_env=more, port=ports["web"]) as started,
        also("beat", *CELERY, "beat"),
        also("monitoring", "manage.py", "run_monitoring"),
    ):
        yield started


@contextlib.contextmanager
def visitors(port: int) -> Iterator[None]:
    """Those of the demonstration, while the block runs."""
    command = [sys.executable, "traffic.py", f"http://127.0.0.1:{port}"]
    process = subprocess.Popen(command, cwd=SHOP, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)
