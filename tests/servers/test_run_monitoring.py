"""``run_monitoring`` as a process: its end, two of them, systemd, a database that hangs."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import alert_stubs
from tests.server_process import ROOT

QUICK = {"OTEL_METRIC_EXPORT_INTERVAL": "1000"}


def environ_of(folder: Path, **more: str) -> dict[str, str]:
    """Of all processes of one site, with its store, folders and database in ``folder``."""
    return {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "TESTS_BASE_DIR": str(folder),
        "OTEL_DJANGO_STORE": str(folder / "store.sqlite3"),
        "OTEL_DJANGO_RUN_DIR": str(folder / "run"),
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_DJANGO_ALERTS_PRIVATE_ADDRESSES": "any",
        **QUICK,
        **more,
    }


def manage(environ: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "django", *arguments],
        check=False,
        cwd=ROOT,
        env=_whole(environ),
        capture_output=True,
        text=True,
        timeout=60,
    )


def _whole(environ: Mapping[str, str]) -> dict[str, str]:
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("OTEL_", "PYTEST_", "TESTS_", "NOTIFY_", "WATCHDOG_"))
    }
    return {**inherited, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environ}


class Monitoring:
    """A running one."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    def output(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def says(self, text: str, timeout_s: float = 30.0) -> None:
        """Wait until its log has that."""
        end_s = time.monotonic() + timeout_s
        while text not in self.output():
            assert time.monotonic() < end_s, self.output()
            assert self.process.poll() is None, self.output()
            time.sleep(0.05)

    def terminate(self) -> float:
        began_s = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)
        return time.monotonic() - began_s


@contextlib.contextmanager
def monitoring(environ: Mapping[str, str], log: Path, *options: str) -> Iterator[Monitoring]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "django", "run_monitoring", *options],
            cwd=ROOT,
            env=_whole(environ),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    found = Monitoring(process, log)
    try:
        yield found
    except BaseException:
        print(found.output())
        raise
    finally:
        process.kill()
        process.wait(10)


@pytest.fixture
def site(tmp_path: Path) -> dict[str, str]:
    environ = environ_of(tmp_path)
    assert manage(environ, "migrate", "-v0").returncode == 0
    return environ


def until(condition: Callable[[], Any], timeout_s: float = 30.0) -> Any:
    end_s = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < end_s
        time.sleep(0.05)
    return found


def test_it_ends_soon_and_another_one_goes_on_at_once(site: dict[str, str], tmp_path: Path) -> None:
    with monitoring(site, tmp_path / "one", "--interval", "1") as one:
        one.says("evaluates alerts from now on")
        with monitoring(site, tmp_path / "other", "--interval", "1") as other:
            other.says("Monitoring has begun")
            time.sleep(1)
            assert one.terminate() < 5
            assert one.process.returncode == 0
            other.says("evaluates alerts from now on", 8)


def test_once_does_everything_and_ends(site: dict[str, str]) -> None:
    done = manage(site, "run_monitoring", "--once")
    assert done.returncode == 0, done.stderr
    asked = manage(site, "otel", "health", "--check", "monitoring", "--json")
    assert asked.returncode == 0, asked.stdout
    assert '"age_s"' in asked.stdout
    counted = manage(
        site,
        "shell",
        "-c",
        "from otel_django.models import HealthMetric; print(HealthMetric.objects.count())",
    )
    assert int(counted.stdout.split()[-1]) > 3


def test_systemd_is_told_of_start_life_and_end(site: dict[str, str], tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(30)
        site |= {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "30000000"}
        with monitoring(site, tmp_path / "log") as service:
            assert listener.recv(1000).startswith(b"READY=1")
            assert listener.recv(1000) == b"WATCHDOG=1"
            service.terminate()
            told = b""
            while told != b"STOPPING=1":
                told = listener.recv(1000)


def test_a_database_that_hangs_stops_neither_the_alert_about_it_nor_the_end(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, alert_stubs.webhook() as webhook:
        site = environ_of(
            tmp_path,
            DJANGO_SETTINGS_MODULE="tests.site.settings_with_silent_database",
            TESTS_SILENT_PORT=str(silent.getsockname()[1]),
            ALERT_WEBHOOK_URL=webhook.url,
        )
        with monitoring(site, tmp_path / "log", "--interval", "1") as service:
            until(lambda: ("HealthCheckFailing", "critical") in _told(webhook), 45)
            assert ("MonitoringStale", "critical") not in _told(webhook)
            assert service.terminate() < 5


def _told(webhook: alert_stubs.AlertStub) -> set[tuple[str, str]]:
    """Rules and severities."""
    return {
        (alert["labels"]["alertname"], alert["labels"]["severity"])
        for document in webhook.documents
        for alert in document["alerts"]
    }
