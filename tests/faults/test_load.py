"""More spans than one thread can send, and receivers that die: nothing is lost, nothing doubled."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.server_process import ROOT
from tests.stub_collector import StubCollector

PRODUCER = Path(__file__).with_name("span_producer.py")


def start_producers(
    endpoint: str, folder: Path, *arguments: object, **env: str
) -> subprocess.Popen[str]:
    inherited = {
        key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PYTEST_"))
    }
    return subprocess.Popen(
        [sys.executable, str(PRODUCER), *map(str, arguments)],
        env={
            **inherited,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "PYTHONPATH": str(ROOT),
            "TESTS_BASE_DIR": str(folder),
            "OTEL_DJANGO_SPOOL_DIR": str(folder / "spool"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            **env,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str], timeout_s: float) -> str:
    output, _ = process.communicate(timeout=timeout_s)
    assert process.returncode == 0, output
    assert output.count("{}") == 4, f"spans were dropped:\n{output}"
    return output


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_400000_spans_of_four_processes_arrive_exactly_once(protocol: str, tmp_path: Path) -> None:
    with StubCollector(grpc=protocol == "grpc") as collector:
        endpoint = collector.grpc_endpoint if protocol == "grpc" else collector.base_endpoint
        process = start_producers(
            endpoint, tmp_path, 4, 100_000, 4, OTEL_EXPORTER_OTLP_PROTOCOL=protocol
        )
        finish(process, 240)
        collector.wait_until(lambda counts: counts["unique"] >= 400_000, timeout_s=60)
        counts = collector.counts()
        assert (counts["unique"], counts["duplicates"]) == (400_000, 0)


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_P2_with_the_collector_killed_at_random_all_arrive_at_least_once(
    protocol: str, tmp_path: Path
) -> None:
    rng = random.Random(7)
    with StubCollector(grpc=protocol == "grpc") as collector:
        endpoint = collector.grpc_endpoint if protocol == "grpc" else collector.base_endpoint
        process = start_producers(
            endpoint, tmp_path, 4, 20_000, 2, 0.05, OTEL_EXPORTER_OTLP_PROTOCOL=protocol
        )
        deadline = time.monotonic() + 25
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(rng.uniform(0.2, 1.5))
            collector.kill()
            time.sleep(rng.uniform(0.2, 2.0))
            collector.restart()
        finish(process, 120)
        # What lies in the spools of processes that are gone is sent by the next ones of the host.
        rest = start_producers(
            endpoint, tmp_path, 4, 100, 1, 30.0, OTEL_EXPORTER_OTLP_PROTOCOL=protocol
        )
        collector.wait_until(lambda counts: counts["unique"] >= 80_400, timeout_s=60)
        finish(rest, 60)
