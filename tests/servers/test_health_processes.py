"""A host's processes ask a dependency together: counted at the dependency."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_django.health.engine import GRACE_S
from otel_django.health.results import CheckReport
from tests.health_asker import asker
from tests.misbehaving import hanging, proxy, slow

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@contextlib.contextmanager
def asking(
    port: int, folder: Path, processes: int, rate: float, seconds: float, ttl_s: float = 60.0
) -> Iterator[subprocess.Popen[str]]:
    """Processes that do; ended with their group."""
    arguments = [port, folder, processes, rate, seconds, ttl_s, 0.5]
    started = subprocess.Popen(
        [sys.executable, "-m", "tests.health_asker", *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.communicate()


def told(process: subprocess.Popen[str]) -> list[Any]:
    output, _ = process.communicate(timeout=60)
    return [json.loads(line) for line in output.splitlines()]


def when(known: Callable[[], CheckReport], what: Callable[[CheckReport], bool]) -> CheckReport:
    deadline_s = time.monotonic() + 20
    while not what(found := known()):
        assert time.monotonic() < deadline_s, found
        time.sleep(0.01)
    return found


def test_four_processes_ask_once_a_ttl_whatever_the_rate(tmp_path: Path) -> None:
    with slow(b"PONG", delay_s=0.05) as server:
        began_s = time.monotonic()
        with asking(server.port, tmp_path / "host", 4, rate=50, seconds=4, ttl_s=1.0) as process:
            done = told(process)
        lasted_s = time.monotonic() - began_s
        asked = server.requests
    looks = sum(each["looks"] for each in done)
    assert len(done) == 4
    assert {status for each in done for status in each["statuses"]} == {"healthy"}
    assert 2 <= asked <= lasted_s / 1.0 + 1
    assert asked < looks / 100  # over 99 % of them come from what is known


def test_a_dependency_that_hangs_has_one_connection_of_each_process_at_most(
    tmp_path: Path,
) -> None:
    with hanging() as server:
        with asking(server.port, tmp_path / "host", 4, rate=50, seconds=3, ttl_s=1.0) as process:
            done = told(process)
        assert server.connections <= 4
    for each in done:
        assert each["statuses"] == ["pending", "unhealthy"]
        assert each["slowest_s"] < 2.0


def test_another_process_goes_on_for_one_that_is_killed_in_mid_check(tmp_path: Path) -> None:
    with slow(b"PONG", delay_s=0.0) as real, proxy(real.port) as server:
        server.hang()
        engine = asker(server.port, tmp_path / "host", 60.0, 30.0)
        with asking(server.port, tmp_path / "host", 1, rate=10, seconds=60) as process:
            server.wait_until(lambda it: it.connections == 1)
            assert engine.report().checks[0].status == "pending"
            assert server.connections == 1  # it is the other one's
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        server.pass_on()
        found = when(lambda: engine.report().checks[0], lambda it: it.status != "pending")
        assert found.status == "healthy"
        assert server.connections == 2


def test_another_process_goes_on_for_one_that_is_stopped_and_is_believed(tmp_path: Path) -> None:
    with slow(b"PONG", delay_s=0.0) as real, proxy(real.port) as server:
        server.hang()
        engine = asker(server.port, tmp_path / "host", 60.0, 0.5)
        with asking(server.port, tmp_path / "host", 1, rate=50, seconds=4 + GRACE_S) as process:
            server.wait_until(lambda it: it.connections == 1)
            os.killpg(process.pid, signal.SIGSTOP)
            server.pass_on()
            found = when(lambda: engine.report().checks[0], lambda it: it.status != "pending")
            assert found.status == "healthy"
            os.killpg(process.pid, signal.SIGCONT)
            (done,) = told(process)
        assert "healthy" in done["statuses"]
        assert "unhealthy" not in done["statuses"]  # nothing of its being late
        assert engine.report().checks[0].results == found.results
        assert server.connections == 2
