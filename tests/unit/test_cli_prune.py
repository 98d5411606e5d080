"""``manage.py otel prune`` on stores that a process goes on writing to."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_django.backends.embedded import EmbeddedReader
from otel_django.backends.embedded_logs import EmbeddedLogReader
from otel_django.contracts import LogQuery, TraceQuery
from otel_django.store.writer import LogWriter, StoreWriter
from tests.cli_kit import otel
from tests.store_logs import record
from tests.store_spans import Losses, SpanSource
from tests.unit.test_cli_tail import PROJECT, environment
from tests.unit.test_embedded_reader import SteppedClock

HOUR_S = 3600


class Site:
    """Writes a request and a record an hour, two hours a slice."""

    def __init__(self, path: Path) -> None:
        self.clock = SteppedClock()
        self.clock.s = time.time() - 10 * HOUR_S
        self.losses = Losses()
        self.spans = StoreWriter(
            path, retention_hours=24, max_mb=64, drops=self.losses, clock=self.clock
        )
        self.logs = LogWriter(self.spans.file, drops=self.losses, clock=self.clock)
        self.source = SpanSource()

    def write(self) -> None:
        self.source.request(start=self.clock.now_ns(), queries=0)
        self.spans.accept(self.source.take())
        self.logs.accept([record(time_ns=self.clock.now_ns())])
        self.clock.s += HOUR_S


@pytest.fixture
def site(path: Path) -> Iterator[Site]:
    made = Site(path)
    for _ in range(10):
        made.write()
    yield made
    made.spans.release()


def prune(store: Path | str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return otel(store, "prune", *arguments)


def prune_process(store: Path | str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "django", "otel", "prune", *arguments],
        cwd=PROJECT,
        env=environment(str(store)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def counts(path: Path) -> tuple[int, int]:
    traces = EmbeddedReader(path).list_traces(TraceQuery()).traces
    return len(traces), len(EmbeddedLogReader(path).list_logs(LogQuery()).rows)


def test_whole_parts_that_are_old_enough_go_and_are_told(path: Path, site: Site) -> None:
    done = prune_process(path, "--older-than", "4.5h", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    *parts, deleted = done.stdout.splitlines()
    assert parts
    assert all("3 spans, 3 log records" in part for part in parts)
    assert deleted.startswith("Deleted; the file is ")
    left = 10 - 3 * len(parts)
    assert counts(path) == (left, left)
    assert left >= 5
    site.write()
    assert counts(path) == (left + 1, left + 1)
    assert site.losses.counts == {}


def test_all_leaves_an_empty_store_that_writers_go_on_with(path: Path, site: Site) -> None:
    damaged = path.with_name(f"{path.name}.corrupt-20260101T000000Z")
    damaged.write_text("x")
    done = prune(path, "--all", "--yes")
    assert done.returncode == 0
    assert f"damaged: {damaged.name}" in done.stdout
    assert counts(path) == (0, 0)
    assert not damaged.exists()
    site.write()
    assert counts(path) == (1, 1)
    assert site.losses.counts == {}


def test_nothing_goes_without_a_yes(path: Path, site: Site) -> None:
    done = prune_process(path, "--all")
    assert done.returncode == 1
    assert "--yes is needed" in done.stderr
    assert counts(path) == (10, 10)


def test_nothing_old_enough_is_said(path: Path, site: Site) -> None:
    done = prune(path, "--older-than", "20d", "--yes")
    assert (done.returncode, done.stdout.split(":")[0]) == (0, "Nothing to delete")
    assert counts(path) == (10, 10)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "required"),
        (["--older-than", "2 moons"], "write 30m, 2h or 1.5d"),
        (["--older-than", "2h", "--all"], "not allowed with"),
    ],
)
def test_misuse_is_said(path: Path, arguments: list[str], text: str) -> None:
    done = prune_process(path, *arguments)
    assert done.returncode == 2
    assert text in done.stderr


def test_a_file_of_another_program_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    done = prune(path, "--all", "--yes")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert path.read_bytes().startswith(b"no database")


def test_a_store_that_is_off_or_missing_is_said(path: Path) -> None:
    assert "is off" in prune("off", "--all").stderr
    missing = prune(path, "--all")
    assert (missing.returncode, missing.stdout.split(":")[0]) == (0, f"No store at {path}")
