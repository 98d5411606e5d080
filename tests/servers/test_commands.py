"""Management commands as processes: what is sent when they end, and how long that takes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server_process import ROOT
from tests.stub_collector import StubCollector


@pytest.fixture
def collector() -> Iterator[StubCollector]:
    with StubCollector() as running:
        yield running


def environ(collector: StubCollector, folder: Path) -> dict[str, str]:
    inherited = {
        key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PYTEST_"))
    }
    return {
        **inherited,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "PYTHONPATH": str(ROOT),
        "TESTS_BASE_DIR": str(folder),
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.base_endpoint,
    }


def manage(collector: StubCollector, folder: Path, *words: str, **more: str) -> tuple[int, float]:
    """The exit code of ``manage.py`` with these words, and the seconds it took."""
    start = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-m", "django", *words],
        env={**environ(collector, folder), **more},
        timeout=60,
        check=False,
    )
    return ended.returncode, time.monotonic() - start


@pytest.mark.parametrize(
    ("ending", "code"), [("", 0), ("refuse", 3), ("fail", 1), ("interrupt", -signal.SIGINT)]
)
def test_a_command_of_the_project_sends_its_span_however_it_ends(
    collector: StubCollector, tmp_path: Path, ending: str, code: int
) -> None:
    assert manage(collector, tmp_path, "work", ending)[0] == code
    (span,) = collector.wait_for_spans(1)
    assert span["name"] == "command work"
    assert span["attributes"]["process.exit.code"] == (130 if ending == "interrupt" else code)
    assert b"Zx9MARK" not in b"".join(collector.raw_bodies())


def test_a_command_that_is_terminated_sends_its_span_as_interrupted(
    collector: StubCollector, tmp_path: Path
) -> None:
    manage(collector, tmp_path, "migrate", "--run-syncdb", "-v0")
    code, _ = manage(collector, tmp_path, "work", "terminate", "--queries", "2")
    assert code == -signal.SIGTERM
    spans = collector.wait_for_spans(3)
    (root,) = (span for span in spans if not span["parent_span_id"])
    assert (root["name"], root["attributes"]["error.type"]) == ("command work", "interrupted")


@pytest.mark.parametrize(
    ("commands", "names"),
    [("own", {"command outer", "command work"}), ("-outer", set[str]()), ("none", set[str]())],
)
def test_a_command_that_is_left_out_is_not_observed_at_all(
    collector: StubCollector, tmp_path: Path, commands: str, names: set[str]
) -> None:
    manage(collector, tmp_path, "outer", OTEL_DJANGO_COMMANDS=commands)
    assert {span["name"] for span in collector.spans()} == names


PATIENT = {"OTEL_DJANGO_SHUTDOWN_TIMEOUT": "50"}


def test_with_the_collector_away_the_spool_has_it_at_once_and_the_next_command_sends_it(
    collector: StubCollector, tmp_path: Path
) -> None:
    collector.kill()
    assert manage(collector, tmp_path, "work", **PATIENT)[1] < 30
    collector.restart()
    manage(collector, tmp_path, "work")
    assert {span["name"] for span in collector.wait_for_spans(2)} == {"command work"}


def test_a_collector_that_hangs_is_not_waited_for(collector: StubCollector, tmp_path: Path) -> None:
    collector.set_mode("hang")
    for _ in range(2):
        assert manage(collector, tmp_path, "work", **PATIENT)[1] < 30
    collector.set_mode("ok")
    for _ in range(2):  # each takes what one process has left
        manage(collector, tmp_path, "work")
    collector.wait_for_spans(4)
    assert collector.counts()["duplicates"] == 0
