"""Looks in one process: concurrent, bounded in time, cached, and nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from otel_django import guard
from otel_django.clock import SYSTEM_CLOCK
from otel_django.conf import Settings
from otel_django.health import active
from otel_django.health.check import Registered
from otel_django.health.engine import KNOWN_PATIENCE_S, Engine, Look, Teller
from otel_django.health.registry import SITE, Registry, UnknownCheckError
from otel_django.health.results import CheckReport, Report, Result
from otel_django.metrics.host_folder import HostFolder

WAITED_S = 2.0
"""More than a look ever waits, on a machine that is busy; far less than what hangs would take."""


def nothing() -> None:
    pass


def engine_of(
    *checks: Registered, folder: Path | None = None, teller: Teller | None = None, **settings: Any
) -> Engine:
    registry = Registry()
    for check in checks:
        registry.add(check)
    return Engine(
        Settings(**settings),
        registry,
        folder=None if folder is None else HostFolder(folder, pause=nothing),
        clock=SYSTEM_CLOCK,
        teller=teller,
    )


def by_name(report: Report) -> dict[str, CheckReport]:
    return {check.name: check for check in report.checks}


class Dependency:
    """Counts who asks; answers when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.answers = threading.Event()

    def __call__(self) -> Result:
        self.asked += 1
        self.answers.wait(60)
        return Result(observed={"asked": self.asked})


@pytest.fixture
def hanging() -> Iterator[Dependency]:
    """A dependency that hangs until the test's end, at the latest."""
    dependency = Dependency()
    yield dependency
    dependency.answers.set()
    wait_until(no_thread_is_left)


def no_thread_is_left() -> bool:
    return not [each for each in threading.enumerate() if "health" in each.name]


def wait_until(what: Callable[[], Any], timeout_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


@pytest.fixture(params=["folder", "no folder"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "host" if request.param == "folder" else None


# --- answers


def test_all_checks_of_a_look_run_at_once(folder: Path | None) -> None:
    together = threading.Barrier(4, timeout=10)

    def run() -> None:
        together.wait()

    checks = [Registered(f"c{number}", run) for number in range(4)]
    report = engine_of(*checks, folder=folder).report()
    assert [check.status for check in report.checks] == ["healthy"] * 4
    assert (report.status, report.ok) == ("healthy", True)


def test_one_that_hangs_is_pending_then_unhealthy_and_others_are_not_held_up(
    folder: Path | None, hanging: Dependency
) -> None:
    engine = engine_of(
        Registered("good", nothing),
        Registered("hangs", hanging, critical=True, timeout_s=0.8),
        folder=folder,
    )
    began_s = time.monotonic()
    first = engine.report("ready")
    assert time.monotonic() - began_s < WAITED_S
    assert by_name(first)["hangs"].status == "pending"
    assert by_name(first)["good"].status == "healthy"
    assert first.status == "unhealthy"  # nobody has seen yet that it works
    assert engine.report("all").status == "degraded"
    wait_until(lambda: by_name(engine.report())["hangs"].status != "pending")
    found = by_name(engine.report())["hangs"]
    assert (found.status, found.message) == ("unhealthy", "did not come back within 0.8 s")
    assert found.running_s is not None
    assert found.running_s >= 0.8


def test_one_that_hangs_is_not_asked_again_until_it_is_back(hanging: Dependency) -> None:
    engine = engine_of(Registered("hangs", hanging, timeout_s=0.1, ttl_s=0.1))
    for _ in range(5):
        report = engine.report()
        time.sleep(0.1)
    assert hanging.asked == 1
    assert report.checks[0].status == "unhealthy"
    hanging.answers.set()
    wait_until(lambda: engine.report().checks[0].status == "healthy")
    assert hanging.asked == 2  # what it said too late doesn't count


def test_a_slow_one_is_shown_with_its_last_result_and_that_ones_age(hanging: Dependency) -> None:
    hanging.answers.set()
    engine = engine_of(Registered("slow", hanging, timeout_s=30, ttl_s=0.2))
    assert engine.report().checks[0].status == "healthy"
    hanging.answers.clear()
    time.sleep(0.25)
    began_s = time.monotonic()
    check = engine.report().checks[0]
    assert KNOWN_PATIENCE_S <= time.monotonic() - began_s < WAITED_S
    assert check.status == "healthy"
    assert check.results[0].observed == {"asked": 1}
    assert check.age_s is not None
    assert check.age_s > 0.25 + KNOWN_PATIENCE_S
    assert check.running_s is not None
    assert check.running_s >= KNOWN_PATIENCE_S


def test_who_comes_later_does_not_wait_for_what_has_been_waited_for(hanging: Dependency) -> None:
    engine = engine_of(Registered("hangs", hanging, timeout_s=30))
    engine.report()
    began_s = time.monotonic()
    for _ in range(100):
        assert engine.report().checks[0].status == "pending"
    assert time.monotonic() - began_s < WAITED_S


def test_a_result_counts_for_its_ttl(folder: Path | None) -> None:
    dependency = Dependency()
    dependency.answers.set()
    engine = engine_of(Registered("it", dependency), folder=folder, health_ttl_s=0.3)
    for _ in range(100):
        engine.report()
    assert dependency.asked == 1
    time.sleep(0.35)
    assert engine.report().checks[0].results[0].observed == {"asked": 2}


def test_without_a_ttl_each_look_asks_once(folder: Path | None) -> None:
    dependency = Dependency()
    dependency.answers.set()

    def slow() -> None:
        time.sleep(0.1)

    engine = engine_of(
        Registered("it", dependency, ttl_s=0), Registered("slow", slow, ttl_s=0), folder=folder
    )
    for looks in (1, 2):
        assert {check.status for check in engine.report().checks} == {"healthy"}
        assert dependency.asked == looks


def test_what_a_check_needs_is_loaded_when_it_is_said(folder: Path | None) -> None:
    done = []

    def fails() -> None:
        raise ImportError

    engine = engine_of(
        Registered("fails", nothing, prepare=fails),
        Registered("it", nothing, prepare=lambda: done.append("it")),
        Registered("not_here", nothing, prepare=fails, is_possible=lambda: False),
        folder=folder,
    )
    engine.prepare()
    assert done == ["it"]


def test_asynchronous_callers_wait_without_a_thread(hanging: Dependency) -> None:
    async def ready() -> None:
        await asyncio.sleep(0.05)

    engine = engine_of(Registered("it", ready), Registered("hangs", hanging, timeout_s=30))

    async def waited(look: Look) -> Report:
        while (wait_s := look.wait_s()) > 0:  # noqa: ASYNC110 - as a view does
            await asyncio.sleep(wait_s)
        return look.report()

    async def many() -> list[Report]:
        return await asyncio.gather(*(waited(engine.look()) for _ in range(50)))

    began_s = time.monotonic()
    reports = asyncio.run(many())
    assert time.monotonic() - began_s < WAITED_S
    assert {by_name(report)["it"].status for report in reports} == {"healthy"}
    assert {by_name(report)["hangs"].status for report in reports} == {"pending"}


def test_names_that_there_are_not_are_said() -> None:
    engine = engine_of(Registered("it", nothing))
    assert [check.name for check in engine.report(names=["it"]).checks] == ["it"]
    with pytest.raises(UnknownCheckError, match="not in the group live: it"):
        engine.look("live", ["it"])


def test_what_can_not_be_checked_here_is_left_out() -> None:
    engine = engine_of(
        Registered("it", nothing, is_possible=lambda: False), Registered("other", nothing)
    )
    assert [check.name for check in engine.report().checks] == ["other"]


def test_a_group_without_checks_is_healthy() -> None:
    assert engine_of(Registered("it", nothing)).report("live").status == "healthy"


def test_what_is_known_can_be_had_without_asking(folder: Path | None) -> None:
    dependency = Dependency()
    dependency.answers.set()
    engine = engine_of(Registered("it", dependency, ttl_s=0.05), folder=folder)
    assert engine.last() == ()
    engine.report()
    time.sleep(0.1)
    (known,) = engine.last()
    assert known.status == "healthy"
    assert dependency.asked == 1
    engine.forget()
    assert engine.last() == ()


def test_after_forgetting_it_is_asked_again(folder: Path | None) -> None:
    dependency = Dependency()
    dependency.answers.set()
    engine = engine_of(Registered("it", dependency), folder=folder)
    for _ in range(3):
        engine.report()
        engine.forget()
    assert dependency.asked == 3


def test_what_a_check_remembers_itself_is_forgotten_too() -> None:
    forgotten = []
    engine = engine_of(Registered("it", nothing, forget=lambda: forgotten.append("it")))
    engine.forget()
    assert forgotten == ["it"]


def test_where_no_thread_can_be_started_the_check_stays_pending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    engine = engine_of(Registered("it", nothing))
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert engine.report().checks[0].status == "pending"
    assert engine.report().checks[0].status == "healthy"


# --- nothing is left


def test_10_000_looks_leave_no_thread_and_no_file_open(folder: Path | None) -> None:
    def fails() -> None:
        raise OSError

    async def later() -> None:
        await asyncio.sleep(0)

    engine = engine_of(
        Registered("good", nothing),
        Registered("fails", fails),
        Registered("later", later),
        folder=folder,
        health_ttl_s=0.01,
    )
    engine.report()
    wait_until(no_thread_is_left)
    files = psutil.Process().num_fds()
    for _ in range(10_000):
        engine.look().report()
    wait_until(no_thread_is_left)
    assert psutil.Process().num_fds() == files
    if folder is not None:
        assert len(list(folder.iterdir())) <= 8


# --- telling


class Told:
    """What a Teller is told."""

    def __init__(self) -> None:
        self.runs: list[tuple[str, tuple[Result, ...]]] = []
        self.changes: list[tuple[str | None, str]] = []

    @contextlib.contextmanager
    def running(self, check: Registered) -> Iterator[Callable[[tuple[Result, ...]], object]]:
        yield lambda results: self.runs.append((check.name, results))

    def found(self, before: CheckReport | None, after: CheckReport) -> None:
        self.changes.append((None if before is None else before.status, after.status))


def test_runs_and_what_they_find_are_told_by_the_process_that_asks(tmp_path: Path) -> None:
    told, not_told = Told(), Told()
    status: Any = "healthy"

    def run() -> Result:
        return Result(status)

    check = Registered("it", run, ttl_s=0.1)
    engine = engine_of(check, folder=tmp_path / "host", teller=told)
    other = engine_of(check, folder=tmp_path / "host", teller=not_told)
    engine.report()
    other.report()
    time.sleep(0.15)
    status = "degraded"
    engine.report()
    assert told.changes == [(None, "healthy"), ("healthy", "degraded")]
    assert [name for name, _ in told.runs] == ["it", "it"]
    assert not_told.changes == []


def test_a_time_out_is_told_once(hanging: Dependency) -> None:
    told = Told()
    engine = engine_of(Registered("hangs", hanging, timeout_s=0.1), teller=told)
    engine.report()
    hanging.answers.set()
    wait_until(no_thread_is_left)
    assert told.changes == [(None, "unhealthy")]


class Broken:
    """A Teller with a fault."""

    def running(self, check: Registered) -> Any:
        raise LookupError

    def found(self, before: CheckReport | None, after: CheckReport) -> None:
        raise LookupError


def test_a_teller_with_a_fault_costs_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_strict", False)
    monkeypatch.setattr(guard, "_faults", {})
    engine = engine_of(Registered("it", nothing), teller=Broken())
    assert engine.report().checks[0].status == "healthy"
    wait_until(no_thread_is_left)
    assert guard.faults() == {"health.running": 1, "health.found": 1}


def test_who_wants_to_may_wait_longer(hanging: Dependency) -> None:
    engine = engine_of(Registered("slow", hanging, timeout_s=30))
    threading.Timer(0.8, hanging.answers.set).start()
    assert engine.report(within_s=20).checks[0].status == "healthy"


# --- this process's engine


@pytest.fixture
def site_check() -> Iterator[Dependency]:
    dependency = Dependency()
    dependency.answers.set()
    SITE.add(Registered("of_the_site", dependency))
    active._forget()
    yield dependency
    SITE.remove("of_the_site")
    active._forget()


def test_the_processs_engine_asks_the_sites_checks(
    site_check: Dependency, settings_changed: Any
) -> None:
    assert "of_the_site" in by_name(active.engine().report(names=["of_the_site"]))
    assert active.engine() is active.engine()
    other = {"HEALTH_DISABLED": "of_the_site", "STORE": "off"}
    with settings_changed(OTEL_DJANGO=other), pytest.raises(UnknownCheckError):
        active.engine().look(names=["of_the_site"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_asks_for_itself_while_the_parents_check_goes_on(
    hanging: Dependency,
) -> None:
    SITE.add(Registered("forked", hanging, timeout_s=30))
    active._forget()
    try:
        parent = active.engine()
        parent.look(names=["forked"])
        wait_until(lambda: hanging.asked)
        pid = os.fork()
        if pid == 0:
            code = 1
            with contextlib.suppress(BaseException):
                hanging.answers = threading.Event()
                hanging.answers.set()
                report = active.engine().report(names=["forked"], within_s=5)
                code = 0 if report.checks[0].status == "healthy" else 2
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert parent.report(names=["forked"]).checks[0].status == "pending"
    finally:
        SITE.remove("forked")
        active._forget()
