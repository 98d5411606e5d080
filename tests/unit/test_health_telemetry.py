"""The check of what telemetry was lost lately."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_django.bootstrap.process import Runtime
from otel_django.conf import Settings
from otel_django.conf.limits import Limit
from otel_django.health.checks import telemetry
from otel_django.health.checks.telemetry import TelemetryCheck
from otel_django.health.results import Result
from otel_django.metrics.host_folder import usable_folder
from otel_django.observers.folder_board import FolderBoard

pytestmark = pytest.mark.usefixtures("no_meter_provider")


class Site:
    """A process whose telemetry runs, with the time in the test's hands."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.settings = Settings(strict=True, run_dir=folder, spool_dir=folder / "spool", **more)
        self.runtime = Runtime(self.settings)
        self.runtime.metrics.install(self.runtime.instrumentations)
        (self.observation,) = (
            each
            for each in self.runtime.instrumentations
            if type(each).__name__ == "SelfObservation"
        )
        self.observation.install(self.runtime.provider.tracer("tests"), self.settings)
        self.now_s = 1_000_000_000.0  # long before the sums began, so that none is old

    def stop(self) -> None:
        self.observation.uninstall()
        self.runtime.stop()

    def check(self) -> TelemetryCheck:
        """As another process of the host would make it."""
        return TelemetryCheck(Limit(1, 1000), self._board, lambda: self.now_s)

    def _board(self) -> FolderBoard:
        folder = usable_folder(
            self.settings.run_dir, self.settings.service_name, pause=lambda: None
        )
        assert folder is not None
        return FolderBoard(folder)

    def lose(self, signal: str, cause: str, count: int) -> None:
        self.runtime.drops.add(signal, cause, count)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, metrics_listen="127.0.0.1:0")  # somebody asks for metrics
    yield made
    made.stop()


@pytest.fixture
def without_metrics(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.stop()


def by_signal(check: TelemetryCheck) -> dict[str, Result]:
    return {result.instance: result for result in check.run()}


def test_nothing_lost_is_healthy(site: Site) -> None:
    results = by_signal(site.check())
    assert {signal: result.status for signal, result in results.items()} == {
        "traces": "healthy",
        "metrics": "healthy",
        "logs": "healthy",
    }
    assert results["traces"].observed == {"dropped": 0}


def test_what_was_lost_is_told_by_signal_and_cause(site: Site) -> None:
    site.lose("traces", "queue_full", 5)
    site.lose("traces", "spool_full", 2)
    site.lose("logs", "rejected", 1000)
    results = by_signal(site.check())
    assert (results["traces"].status, results["traces"].message) == (
        "degraded",
        "Lost in the last five minutes: queue_full 5, spool_full 2.",
    )
    assert results["traces"].observed == {
        "dropped": 7,
        "dropped_queue_full": 5,
        "dropped_spool_full": 2,
    }
    assert results["logs"].status == "unhealthy"
    assert results["metrics"].status == "healthy"


def test_after_five_minutes_it_is_healthy_again(site: Site) -> None:
    check = site.check()
    by_signal(check)
    site.lose("traces", "queue_full", 5)
    told = []
    for _ in range(9):
        site.now_s += 40
        told.append(by_signal(check)["traces"].observed["dropped"])
    assert told == [5, 5, 5, 5, 5, 5, 5, 5, 0]


def test_another_process_of_the_host_says_the_same(site: Site) -> None:
    one, other = site.check(), site.check()
    by_signal(one)
    site.now_s += 100
    site.lose("traces", "queue_full", 5)
    assert by_signal(one)["traces"].status == "degraded"
    assert by_signal(other)["traces"].status == "degraded"
    site.now_s += 290
    by_signal(one)
    site.now_s += 100
    assert by_signal(other)["traces"].status == "healthy"


def test_what_was_lost_long_before_the_first_look_is_not_news(site: Site) -> None:
    site.lose("traces", "queue_full", 5)
    site.now_s = 4_000_000_000.0  # the sums began long ago
    assert by_signal(site.check())["traces"].status == "healthy"


def test_notes_that_cannot_be_read_are_begun_anew(site: Site, tmp_path: Path) -> None:
    check = site.check()
    by_signal(check)
    (notes,) = tmp_path.glob("*/telemetry*")
    notes.write_text("\n{broken")
    site.lose("traces", "queue_full", 5)
    assert by_signal(check)["traces"].status == "degraded"


def test_without_metrics_a_process_knows_of_itself(without_metrics: Site, tmp_path: Path) -> None:
    site = without_metrics
    check = site.check()
    site.lose("traces", "queue_full", 5)
    assert by_signal(check)["traces"].observed["dropped"] == 5
    site.now_s += 400
    by_signal(check)
    site.now_s += 400
    assert by_signal(check)["traces"].observed["dropped"] == 0
    assert not list(tmp_path.glob("*/telemetry*"))


def test_where_no_telemetry_runs_there_is_nothing_to_check(tmp_path: Path) -> None:
    (found,) = telemetry.checks(Settings(run_dir=tmp_path))
    assert not found.is_possible()
    assert not found.groups


def test_the_sites_own_check_is_possible_while_it_runs(site: Site) -> None:
    (found,) = telemetry.checks(site.settings)
    assert found.is_possible()
    assert len(list(found.run())) == 3  # type: ignore[arg-type]
