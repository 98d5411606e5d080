"""What a server's processes tell together of health, of an API and of databases."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.server_process import Server, gunicorn, serving

WAIT_S = 40.0
"""Status, clients and sizes are looked at every few seconds."""


def scraped(server: Server) -> dict[str, dict[tuple[str, ...], float]]:
    """By name, and by the labels' values."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(server.get("/metrics").body.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def wait_for(server: Server, done: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    deadline = time.monotonic() + WAIT_S
    while not done(found := scraped(server)):
        assert time.monotonic() < deadline, sorted(found)
        time.sleep(0.5)
    return found


def test_status_score_clients_and_sizes_are_those_of_the_host(
    tmp_path: Path, migrated: Path
) -> None:
    env = {
        "OTEL_DJANGO_METRICS_ACCESS": "loopback",
        "OTEL_DJANGO_RUN_DIR": str(tmp_path),
        "TESTS_BASE_DIR": str(migrated.parent),
    }
    with serving(gunicorn("--workers", "3"), env) as server:
        for number in range(30):
            path = f"/api/v1/articles/{number}/"
            assert server.get(path, X_API_Key=f"client {number % 6}").status == 200
        server.get("/health/")

        def complete(found: dict[str, Any]) -> bool:
            server.get("/health/")
            server.get("/api/v1/articles/1/", X_API_Key="client 1")
            clients = found.get("django_api_active_clients", {})
            return (
                "health_check_status" in found
                and "django_db_size_bytes" in found
                and clients.get(("1h",)) == 6
            )

        found = wait_for(server, complete)
    assert found["django_api_active_clients"] == {("1h",): 6, ("24h",): 6}
    assert found["django_api_requests_total"][("/api/v1/articles/<int:pk>/",)] >= 30
    assert found["django_db_size_bytes"] == {("default",): migrated.stat().st_size}
    statuses = {name for labels in found["health_check_status"] for name in labels}
    assert {"database", "ready"} <= statuses
    assert all(0 <= value <= 100 for value in found["health_score"].values())
    assert any("database" in labels for labels in found["health_check_duration_seconds_count"])
