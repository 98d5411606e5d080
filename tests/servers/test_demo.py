"""The demonstration, run for real: what it prints, how it ends, what it leaves behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

DEMO = Path(__file__).resolve().parents[2] / "examples" / "shop" / "demo.py"
ENDS_WITHIN_S = 60


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    inherited.pop("DJANGO_SETTINGS_MODULE", None)
    yield inherited | {"PORT": str(port), "DEMO_DIR": str(tmp_path / "demo")}
    for process in processes_using(tmp_path):
        process.kill()


def processes_using(folder: Path) -> list[psutil.Process]:
    """The processes whose DEMO_DIR lies in `folder`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("DEMO_DIR", "").startswith(str(folder)):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def run(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, DEMO],
        env=environment,
        capture_output=True,
        text=True,
        timeout=ENDS_WITHIN_S,
        check=False,
    )


def test_demo_prints_the_traces_of_the_n_plus_one_and_of_the_error(
    environment: dict[str, str], tmp_path: Path
) -> None:
    demo = run(environment | {"DEMO_SECONDS": "8"})

    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "GET /brands/" in demo.stdout
    assert "PaymentRefused" in demo.stdout
    assert "password" in demo.stdout
    assert "Traceback" not in demo.stdout + demo.stderr
    assert processes_using(tmp_path) == []


def test_demo_runs_twice_in_a_row_on_the_same_data(environment: dict[str, str]) -> None:
    quick = environment | {"DEMO_SECONDS": "1", "DEMO_TRAFFIC": "0"}
    first, second = run(quick), run(quick)

    assert (first.returncode, second.returncode) == (0, 0), second.stdout + second.stderr
    assert "Visitors" not in second.stdout


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_demo_and_all_its_processes(
    environment: dict[str, str], tmp_path: Path, signum: signal.Signals
) -> None:
    demo = subprocess.Popen(
        [sys.executable, DEMO],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert demo.stdout is not None
    for line in demo.stdout:
        if line.startswith("Traces of its requests follow"):
            break
    demo.send_signal(signum)
    rest, _ = demo.communicate(timeout=ENDS_WITHIN_S)

    assert demo.returncode == 0, rest
    assert "Traceback" not in rest
    assert processes_using(tmp_path) == []


def test_taken_port_is_said_with_the_cure(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", int(environment["PORT"]))):
        demo = run(environment)

    assert demo.returncode == 1
    assert "PORT=" in demo.stderr
    assert "Traceback" not in demo.stderr
