"""The processes of a run: where they work, the sink, and how they are started and ended."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.contestants import ROOT, Contestant

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.sink import Counts

_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")
END_TIMEOUT_S = 30.0


class Failed(Exception):
    """A contestant's process ended or stayed silent; the text is the end of what it wrote."""


@dataclass(frozen=True)
class Bench:
    """A run's workspace, its sink, and the interpreter of each contestant that can run."""

    workspace: Path
    sink_port: int
    pythons: Mapping[str, Path]

    def environ(self, contestant: Contestant, key: str) -> dict[str, str]:
        """The whole environment of its process: nothing else of ours leaks in."""
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        return {
            **inherited,
            "PYTHONPATH": str(ROOT),
            "PYTHONHASHSEED": "0",
            "BENCH_WORKSPACE": str(self.workspace),
            "DJANGO_SETTINGS_MODULE": "benchmarks.site.settings",
            **contestant.environ(self.sink_port, key),
        }

    def arrived(self, key: str) -> dict[str, int]:
        """What the sink has counted under ``key``."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.sink_port}/counts", timeout=60) as got:
            counts: Counts = json.load(got)
        return counts.get(key, {})


@contextlib.contextmanager
def bench(pythons: Mapping[str, Path]) -> Iterator[Bench]:
    """A fresh workspace with the site's database, and a running sink."""
    with tempfile.TemporaryDirectory(prefix="otel-django-bench-") as name:
        workspace = Path(name)
        _fill_database(workspace / "site.sqlite3")
        with ended(_start_sink()) as sink:
            assert sink.stdout is not None
            yield Bench(workspace, int(sink.stdout.readline()), pythons)


def _start_sink() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.sink"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def _fill_database(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE bench_item (id integer PRIMARY KEY, name varchar(100), price integer)"
        )
        connection.executemany(
            "INSERT INTO bench_item VALUES (?, ?, ?)",
            [(number, f"item {number}", number * 7) for number in range(1, 101)],
        )


@contextlib.contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """End the process when the block does: asked first, then killed."""
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
