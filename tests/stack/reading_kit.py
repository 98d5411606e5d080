"""What the readers' contract tests send to Jaeger, Loki and Prometheus by OTLP."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Sequence
from typing import Any

from otel_django.pipeline import otlp_logs, otlp_metrics, otlp_trace
from tests.stack.stack_kit import Loki, wait_until

DEADLINE_S = 30.0


class TenantsLoki(Loki):
    """With a tenant for each who asks."""

    def command(self) -> list[str]:
        """See the class."""
        return [*super().command(), "-auth.enabled=true"]


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


def until(found: Callable[[], bool]) -> None:
    """Wait for what was sent to be found."""
    wait_until(found, DEADLINE_S, "what was sent", pause_s=0.05)
