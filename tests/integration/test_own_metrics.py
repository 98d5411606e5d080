"""A site's own metrics are summed over the processes of its server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from otel_django.metrics.host_folder import HostFolder
from tests.server_process import gunicorn, serving
from tests.stub_collector import StubCollector


def sums(run_dir: Path) -> dict[tuple[str, Any], float]:
    """What all processes have counted, by name and attributes."""
    found: dict[tuple[str, Any], float] = {}
    for key, group in HostFolder(run_dir / "shop", pause=lambda: None).read().groups.items():
        for series in group.series.values():
            point: Any = series.point
            if key.name.startswith("orders."):
                found[key.name, point.attributes] = point.value
    return found


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "preload"])
def test_P1_own_metrics_of_recycled_workers_are_counted_once(
    tmp_path: Path, preload: tuple[str, ...]
) -> None:
    with StubCollector() as collector:
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.base_endpoint,
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_SERVICE_NAME": "shop",
            "OTEL_DJANGO_RUN_DIR": str(tmp_path),
        }
        command = gunicorn("--workers", "2", "--max-requests", "20", *preload)
        with serving(command, env) as server:
            for _ in range(50):
                assert server.get("/measured/").status == 200
            server.terminate()
    assert sums(tmp_path) == {
        ("orders.placed", (("channel", "web"),)): 100,
        ("orders.shipped", ()): 150,
    }
