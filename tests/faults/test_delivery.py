"""Whole processes with the whole pipeline: receivers hang and die, processes are killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.delivery_kit import files_below, make_sender, run_until, soon
from tests.stub_collector import StubCollector

if TYPE_CHECKING:
    from collections.abc import Iterator

EMITTER = Path(__file__).with_name("emitter.py")
RATE = 500


class Emitter:
    """The process; ``progress`` has (wall time, spans ended) as it goes."""

    def __init__(
        self, folder: Path, endpoint: str, seconds: float, rate: int = RATE, **variables: str
    ) -> None:
        environ = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*",
            "OTEL_DJANGO_ENABLED": "true",
            "PYTHONPATH": str(EMITTER.parents[2]),
            **variables,
        }
        self.process = subprocess.Popen(
            [sys.executable, str(EMITTER), str(folder), str(rate), str(seconds)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environ},
        )
        self.progress: list[tuple[float, int]] = []
        self.done_s: float | None = None
        self.last_line = ""
        self.errors = ""
        self._threads = [threading.Thread(target=one) for one in (self._read, self._read_errors)]
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.last_line = line
            if line == "done\n":
                self.done_s = time.monotonic()
            elif line[0].isdigit():
                wall, ended = line.split()
                self.progress.append((float(wall), int(ended)))
        self.process.stdout.close()

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self.errors = self.process.stderr.read()
        self.process.stderr.close()

    @property
    def ended(self) -> int:
        return self.progress[-1][1]

    def wait_for(self, spans: int) -> None:
        end_s = time.monotonic() + 20
        while not self.progress or self.ended < spans:
            assert time.monotonic() < end_s, self.errors
            time.sleep(0.02)

    def finish(self, timeout_s: float = 30.0) -> float:
        """Wait for the end; how long the exit took, in seconds."""
        assert self.process.wait(timeout_s) == 0, self.errors
        for thread in self._threads:
            thread.join()
        assert self.done_s is not None, self.errors
        assert "Traceback" not in self.errors, self.errors
        return time.monotonic() - self.done_s

    def kill(self) -> int:
        """SIGKILL; how many spans had ended a second earlier."""
        killed = time.time()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        for thread in self._threads:
            thread.join()
        return max([ended for wall, ended in self.progress if wall <= killed - 1.0], default=0)

    @property
    def drops(self) -> dict[str, int]:
        found: dict[str, int] = json.loads(self.last_line)
        return found


def received(collector: StubCollector) -> Counter[int]:
    return Counter(span["attributes"]["number"] for span in collector.spans())


def deliver_rest(folder: Path, collector: StubCollector) -> None:
    """This process delivers what others left in the site's spool."""
    spool = folder / ".otel_django" / "spool"
    sender = make_sender(collector.endpoint, spool, adopt_every_s=0.1)
    run_until(sender, lambda: files_below(spool) == [])
    sender.close(soon())


@pytest.fixture
def collector() -> Iterator[StubCollector]:
    with StubCollector(grpc=True) as one:
        yield one


def test_P2_an_outage_loses_nothing(tmp_path: Path, collector: StubCollector) -> None:
    emitter = Emitter(tmp_path, collector.base_endpoint, 10.0)
    emitter.wait_for(RATE)
    collector.kill()
    time.sleep(3)
    collector.restart()
    back_s = time.monotonic()
    collector.wait_until(lambda found: found["requests"] > 0, 6)
    assert time.monotonic() - back_s < 5.5  # noticed
    emitter.finish()
    assert emitter.drops == {}
    deliver_rest(tmp_path, collector)
    assert sorted(received(collector)) == list(range(emitter.ended))


def test_P2_an_outage_loses_nothing_over_grpc(tmp_path: Path, collector: StubCollector) -> None:
    emitter = Emitter(tmp_path, collector.grpc_endpoint, 9.0, OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
    emitter.wait_for(RATE)
    collector.kill()
    time.sleep(2)
    collector.restart()
    assert emitter.finish() < 1.5
    assert emitter.drops == {}
    deliver_rest(tmp_path, collector)
    assert sorted(received(collector)) == list(range(emitter.ended))


def test_a_receiver_that_dies_again_and_again_loses_nothing(
    tmp_path: Path, collector: StubCollector
) -> None:
    emitter = Emitter(tmp_path, collector.base_endpoint, 10.0)
    for spans in (RATE, 2 * RATE, 3 * RATE):
        emitter.wait_for(spans)
        collector.kill()
        time.sleep(0.5)
        collector.restart()
    emitter.finish()
    assert emitter.drops == {}
    deliver_rest(tmp_path, collector)
    found = received(collector)
    assert sorted(found) == list(range(emitter.ended))
    assert sum(found.values()) - len(found) <= 3 * 1024  # a batch or two each time, at least once


@pytest.mark.parametrize("mode", ["hang", "dribble"])
def test_a_receiver_that_misbehaves_for_a_while_loses_nothing(
    tmp_path: Path, collector: StubCollector, mode: str
) -> None:
    emitter = Emitter(tmp_path, collector.base_endpoint, 8.0)
    emitter.wait_for(RATE)
    collector.set_mode(mode)
    time.sleep(2)
    collector.set_mode("ok")
    emitter.finish()
    assert emitter.drops == {}
    deliver_rest(tmp_path, collector)
    assert sorted(received(collector)) == list(range(emitter.ended))


def test_a_killed_process_loses_a_second_at_most(tmp_path: Path, collector: StubCollector) -> None:
    emitter = Emitter(tmp_path, collector.base_endpoint, 30.0)
    emitter.wait_for(3 * RATE)
    ended = emitter.kill()
    time.sleep(0.5)
    assert set(range(ended)) <= set(received(collector))


@pytest.mark.parametrize("mode", ["hang", "unavailable", "dead", "slow"])
def test_a_process_killed_in_an_outage_loses_a_second_at_most(
    tmp_path: Path, collector: StubCollector, mode: str
) -> None:
    emitter = Emitter(tmp_path, collector.base_endpoint, 30.0)
    emitter.wait_for(RATE)
    if mode == "dead":
        collector.kill()
    else:
        collector.set_mode(mode, delay_s=0.6)
    emitter.wait_for(4 * RATE)
    ended = emitter.kill()
    assert ended > 2 * RATE
    if mode == "dead":
        collector.restart()
    collector.set_mode("ok")
    deliver_rest(tmp_path, collector)
    assert set(range(ended)) <= set(received(collector))


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("mode", ["dead", "hang", "never_read", "unavailable"])
def test_P2_a_command_ends_at_once_and_loses_nothing(
    tmp_path: Path, collector: StubCollector, mode: str, protocol: str
) -> None:
    endpoint = collector.grpc_endpoint if protocol == "grpc" else collector.base_endpoint
    if mode == "dead":
        collector.kill()
    else:
        collector.set_mode(mode)
    emitter = Emitter(tmp_path, endpoint, 0.3, OTEL_EXPORTER_OTLP_PROTOCOL=protocol)
    assert emitter.finish() < 1.5
    assert emitter.drops == {}
    if mode == "dead":
        collector.restart()
    collector.set_mode("ok")
    deliver_rest(tmp_path, collector)
    assert set(received(collector)) == set(range(emitter.ended))


def test_P2_a_command_ends_in_time_when_nothing_answers_at_all(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        where = listener.getsockname()
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(where)
        emitter = Emitter(tmp_path, f"http://127.0.0.1:{where[1]}", 0.3)
        assert emitter.finish() < 1.5
        assert emitter.drops == {}
        for filler in fillers:
            filler.close()


def test_SIGTERM_loses_nothing(tmp_path: Path, collector: StubCollector) -> None:
    emitter = Emitter(tmp_path, collector.base_endpoint, 30.0)
    emitter.wait_for(RATE)
    emitter.process.terminate()
    assert emitter.process.wait(5) == -signal.SIGTERM
    for thread in emitter._threads:
        thread.join()
    deliver_rest(tmp_path, collector)
    assert set(range(emitter.ended)) <= set(received(collector))


def test_past_the_budget_every_span_is_either_sent_or_counted(
    tmp_path: Path, collector: StubCollector
) -> None:
    collector.set_mode("unavailable")
    emitter = Emitter(
        tmp_path, collector.base_endpoint, 9.0, rate=5_000, OTEL_DJANGO_SPOOL_MAX_MB="1"
    )
    emitter.wait_for(20_000)
    collector.set_mode("ok")
    emitter.finish()
    lost = emitter.drops["traces.spool_full"]
    assert lost > 1_000
    assert sum(emitter.drops.values()) == lost
    deliver_rest(tmp_path, collector)
    assert len(received(collector)) + lost == emitter.ended
    assert "telemetry.dropped" in emitter.errors


# --- disks


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        if os.environ.get("CI") == "true":
            pytest.fail(f"can't mount a small disk: {mounted.stderr}")
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_costs_nothing_while_memory_lasts(
    small_disk: Path, collector: StubCollector
) -> None:
    (small_disk / "filler").write_bytes(bytes(900_000))
    collector.set_mode("unavailable")
    emitter = Emitter(small_disk, collector.base_endpoint, 10.0)
    emitter.wait_for(5 * RATE)
    assert disk_free(small_disk) < 65_536
    collector.set_mode("ok")
    emitter.finish()
    assert emitter.drops == {}
    deliver_rest(small_disk, collector)
    assert sorted(received(collector)) == list(range(emitter.ended))


def test_at_the_end_a_full_disk_is_counted(small_disk: Path, collector: StubCollector) -> None:
    (small_disk / "filler").write_bytes(bytes(disk_free(small_disk)))
    collector.set_mode("unavailable")
    emitter = Emitter(small_disk, collector.base_endpoint, 2.0)
    assert emitter.finish() < 1.5
    assert emitter.drops == {"traces.shutdown": emitter.ended}
    assert "telemetry.dropped: traces.shutdown" in emitter.errors


def disk_free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def test_a_read_only_disk_costs_nothing_while_memory_lasts(
    small_disk: Path, collector: StubCollector
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    emitter = Emitter(small_disk, collector.base_endpoint, 8.0)
    emitter.wait_for(RATE)
    collector.set_mode("unavailable")
    time.sleep(2)
    collector.set_mode("ok")
    emitter.finish()
    assert emitter.drops == {}
    deliver_rest(small_disk, collector)
    assert sorted(received(collector)) == list(range(emitter.ended))
