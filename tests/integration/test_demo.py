"""The demonstration, run for real: what it prints, how it ends, what it leaves behind."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.demo_kit import DEMO, demo_environment

ENDS_WITHIN_S = 60


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    # As wide as the names of tasks at the end of a chain need.
    yield {**demo_environment(tmp_path / "demo"), "COLUMNS": "140"}
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


@contextmanager
def started(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A demo that has begun to serve; its stdout has come to its traces."""
    demo = subprocess.Popen(
        [sys.executable, DEMO],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert demo.stdout is not None
    for line in demo.stdout:
        if line.startswith("Traces of its requests"):
            break
    try:
        yield demo
    finally:
        demo.kill()
        demo.wait()
        demo.stdout.close()


def traces(lines: Iterable[str]) -> Iterator[str]:
    """The trees among what a demo prints, as they come."""
    tree = ""
    for line in lines:
        if line.strip():
            tree += line
        elif tree:
            yield tree
            tree = ""


def test_demo_shows_an_n_plus_one_an_error_and_a_checkout_with_its_tasks(
    environment: dict[str, str], tmp_path: Path
) -> None:
    task = r"└─ process shop.tasks.send_receipt"
    missing = [
        r"GET /brands/ (.*\n)+.*SELECT catalogue_brand ×60 .*N\+1 catalogue/views.py",
        r"POST /checkout/  500 (.*\n)+.*PaymentRefused",
        r"POST /checkout/  302 (.*\n)*.*order \d+ placed",
        r"process shop.tasks.confirm(.*\n)+.*order paid.* order=\d+",
        rf"POST /checkout/  302 .*with tasks(.*\n)+.*worker@shop\n(.*\n)+.*\(waited\).*\n.*{task}",
    ]
    with started(environment | {"DEMO_SECONDS": str(ENDS_WITHIN_S)}) as demo:
        assert demo.stdout is not None
        for tree in traces(demo.stdout):
            missing = [pattern for pattern in missing if not re.search(pattern, tree)]
            if not missing:
                break
        with urllib.request.urlopen(f"http://127.0.0.1:{environment['PORT']}/metrics") as page:
            assert b'orders_placed_total{customer="guest"' in page.read()
        demo.send_signal(signal.SIGTERM)
        rest, _ = demo.communicate(timeout=ENDS_WITHIN_S)

        assert missing == []
        assert demo.returncode == 0, rest
        assert "Traceback" not in rest
        assert processes_using(tmp_path) == []


def test_worker_that_is_killed_is_said_and_leaves_nothing_behind(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with started(environment | {"DEMO_TRAFFIC": "0"}) as demo:
        worker = None
        while worker is None or not worker.children():
            time.sleep(0.1)
            worker = next((p for p in processes_using(tmp_path) if "worker" in p.cmdline()), None)
        worker.kill()
        rest, _ = demo.communicate(timeout=ENDS_WITHIN_S)

        assert demo.returncode == 1
        assert "The worker ended with code -9" in rest
        assert processes_using(tmp_path) == []


def test_demo_runs_twice_in_a_row_on_the_same_data(environment: dict[str, str]) -> None:
    quick = environment | {"DEMO_SECONDS": "1", "DEMO_TRAFFIC": "0"}
    first, second = run(quick), run(quick)

    assert (first.returncode, second.returncode) == (0, 0), second.stdout + second.stderr
    assert "Visitors" not in second.stdout
    before_traces, _, _ = first.stdout.partition("Traces of its requests")
    assert f"http://127.0.0.1:{environment['PORT']}/monitoring/" in before_traces
    assert "query.repeated" not in before_traces


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_demo_and_all_its_processes(
    environment: dict[str, str], tmp_path: Path, signum: signal.Signals
) -> None:
    with started(environment) as demo:
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
