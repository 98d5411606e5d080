"""Jaeger, Loki and Prometheus as backends of the readers' contract tests: fed by OTLP."""

from __future__ import annotations

import http.client
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from otel_django.pipeline import otlp_logs, otlp_metrics, otlp_trace
from tests.server_process import ROOT, Server, serving
from tests.stack.programs import path_of
from tests.stub_collector_process import free_port

DEADLINE_S = 30.0


def program(name: str) -> str:
    """The binary."""
    return os.environ.get(f"OTEL_DJANGO_STACK_{name.upper()}") or str(path_of(name))


@contextmanager
def jaeger(folder: Path) -> Iterator[tuple[Server, int]]:
    """The query port's server, and the port that takes OTLP."""
    otlp = free_port()
    env = {
        "JAEGER_ADDRESS": "127.0.0.1",
        "JAEGER_DIR": str(folder / "jaeger"),
        "JAEGER_OTLP_HTTP_PORT": str(otlp),
    }
    for name in ("METRICS", "HEALTH", "QUERY_GRPC", "OTLP_GRPC"):
        env[f"JAEGER_{name}_PORT"] = str(free_port())
    port = free_port()
    env["JAEGER_PORT"] = str(port)
    config = ROOT / "deploy/jaeger/jaeger.yaml"

    def command(_: int) -> list[str]:
        return [program("jaeger"), "--config", str(config)]

    with serving(command, env, ready="/api/v3/services", port=port) as server:
        until(lambda: is_listening(otlp))
        yield server, otlp
        server.kill()


@contextmanager
def loki(folder: Path) -> Iterator[Server]:
    """With a tenant for each who asks."""
    port = free_port()
    env = {
        "LOKI_ADDRESS": "127.0.0.1",
        "LOKI_PORT": str(port),
        "LOKI_GRPC_PORT": str(free_port()),
        "LOKI_DIR": str(folder / "loki"),
    }
    config = ROOT / "deploy/loki/loki.yaml"

    def command(_: int) -> list[str]:
        options = ("-config.expand-env=true", "-auth.enabled=true")
        return [program("loki"), f"-config.file={config}", *options]

    with serving(command, env, ready="/ready", port=port) as server:
        yield server
        server.kill()


@contextmanager
def prometheus(folder: Path) -> Iterator[Server]:
    """With an OTLP receiver, and nothing that it scrapes."""
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 15s}\n"
        "storage: {tsdb: {out_of_order_time_window: 2h}, exemplars: {max_exemplars: 1000}}\n"
    )

    def command(port: int) -> list[str]:
        return [
            program("prometheus"),
            f"--config.file={config}",
            f"--web.listen-address=127.0.0.1:{port}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            "--web.enable-otlp-receiver",
            "--enable-feature=exemplar-storage",
        ]

    with serving(command, {}, ready="/-/ready") as server:
        yield server
        server.kill()


def send(port: int, path: str, body: bytes, **headers: str) -> None:
    """Post OTLP."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    try:
        connection.request(
            "POST", path, body, {"Content-Type": "application/x-protobuf", **headers}
        )
        response = connection.getresponse()
        told = response.read()
        assert 200 <= response.status < 300, (response.status, told)
    finally:
        connection.close()


def send_spans(port: int, spans: Sequence[Any]) -> None:
    """To Jaeger."""
    send(port, "/v1/traces", otlp_trace.encode_request(spans))


def send_records(port: int, records: Sequence[Any], tenant: str) -> None:
    """To Loki."""
    body = otlp_logs.encode_request(records)
    send(port, "/otlp/v1/logs", body, **{"X-Scope-OrgID": tenant})


def send_metrics(port: int, data: Sequence[Any]) -> None:
    """To Prometheus."""
    send(port, "/api/v1/otlp/v1/metrics", otlp_metrics.encode_request(data))


def is_listening(port: int) -> bool:
    """Whether somebody takes connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until(found: Callable[[], bool]) -> None:
    """Wait for what was sent to be found."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not found():
        assert time.monotonic() < deadline_s, "it isn't found"
        time.sleep(0.05)
