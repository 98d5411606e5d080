"""Several processes, killed processes, full and read-only disks."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_django.backends.embedded import EmbeddedReader
from otel_django.contracts import TraceQuery
from otel_django.store.writer import StoreWriter
from tests.store_spans import Losses, SpanSource, store_path

PROJECT = Path(__file__).resolve().parents[2]


def start(path: Path, traces: int, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.store_process", str(path), str(traces), *more]
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)


def end_of(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return output


def check(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_processes_write_to_one_file_at_once(tmp_path: Path) -> None:
    path = store_path(tmp_path)
    processes = [start(path, 200) for _ in range(4)]
    for process in processes:
        assert end_of(process).split() == ["ready", "0"]
    (endpoint,) = EmbeddedReader(path).endpoints(0, 2**62)
    assert endpoint.count == 800
    (statement,) = EmbeddedReader(path).statements(0, 2**62)
    assert statement.count == 7200
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM log_1").fetchone() == (800,)
        assert connection.execute("SELECT count(*) FROM series_1").fetchone() == (4,)
    connection.close()
    check(path)


def test_a_killed_writer_leaves_a_whole_file(tmp_path: Path) -> None:
    path = store_path(tmp_path)
    for pause_s in (0.1, 0.23, 0.37):
        process = start(path, 1000, "endless")
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(pause_s)
        process.kill()
        process.wait()
        process.stdout.close()
        for trace in EmbeddedReader(path).list_traces(TraceQuery(limit=100)).traces:
            assert trace.span_count == 10
    assert end_of(start(path, 10)).split() == ["ready", "0"]
    check(path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Two megabytes that can be filled."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("needs to mount")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("may not mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def requests(source: SpanSource, count: int) -> None:
    for index in range(count):
        source.request(queries=9, path=f"/products/{index}/")


def test_a_full_disk_costs_spans_that_are_counted_and_nothing_else(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    losses = Losses()
    path = small_disk / "store.sqlite3"
    writer = StoreWriter(path, retention_hours=24, max_mb=64, drops=losses)
    source = SpanSource()
    sent = 0
    for _ in range(60):
        requests(source, 50)
        sent += 500
        writer.accept(source.take())
    assert writer.problem is None
    lost = losses.counts[("traces", "store_error")]
    assert 0 < lost < sent
    assert len([record for record in caplog.records if "disk is full" in record.message]) == 1
    reader = EmbeddedReader(path)
    stored = sum(each.count for each in reader.endpoints(0, 2**62)) * 10
    assert stored > 0
    assert stored + lost + writer._waiting_count == sent
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert writer.flush(time.monotonic() + 20)
    stored = sum(each.count for each in reader.endpoints(0, 2**62)) * 10
    assert stored + lost == sent
    assert losses.counts == {("traces", "store_error"): lost}
    writer.close(time.monotonic() + 1)


def test_on_a_read_only_disk_the_store_is_off_and_says_so_once(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    losses = Losses()
    path = small_disk / ".otel_django" / "store.sqlite3"
    writer = StoreWriter(path, retention_hours=24, max_mb=64, drops=losses)
    source = SpanSource()
    for _ in range(3):
        requests(source, 1)
        writer.accept(source.take())
    assert writer.problem is not None
    assert "can't be written" in writer.problem
    assert len([record for record in caplog.records if "store is off" in record.message]) == 1
    assert writer.poll(time.monotonic()) is None


def test_a_disk_that_becomes_read_only_switches_the_store_off(small_disk: Path) -> None:
    losses = Losses()
    path = small_disk / "store.sqlite3"
    writer = StoreWriter(path, retention_hours=24, max_mb=64, drops=losses)
    source = SpanSource()
    requests(source, 1)
    writer.accept(source.take())
    writer.close(time.monotonic() + 1)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    requests(source, 1)
    writer.accept(source.take())
    assert writer.problem is not None
    assert len(EmbeddedReader(path).list_traces(TraceQuery()).traces) == 1
