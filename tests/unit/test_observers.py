"""Who observes, where it is left, what is shown: the boards, the turns, the runner."""

from __future__ import annotations

import logging
import multiprocessing
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections

from otel_django import metric_definitions as metrics
from otel_django.contracts import Observation
from otel_django.metrics.host_folder import HostFolder
from otel_django.observers.backlog import LONG, Backlog
from otel_django.observers.board import Board, BoardAway
from otel_django.observers.database_board import DatabaseBoard
from otel_django.observers.folder_board import FolderBoard
from otel_django.observers.places import PATIENCE_S, Places
from otel_django.observers.runner import Runner
from otel_django.observers.turn import HOST_TTL_S, Turn, read
from otel_django.testing import capture
from tests.host_kit import SteppedClock, nothing
from tests.metrics_kit import Measured

ALIAS = "observers"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[str]:
    """The alias of a database with the table."""
    connections.databases[ALIAS] = connections.configure_settings(
        {
            **settings.DATABASES,
            ALIAS: {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "db.sqlite3")},
        }
    )[ALIAS]
    call_command("migrate", "otel_django", database=ALIAS, verbosity=0)
    yield ALIAS
    connections[ALIAS].close()
    del connections.databases[ALIAS]
    del connections[ALIAS]


def folder_board(path: Path) -> FolderBoard:
    return FolderBoard(HostFolder(path / "host", pause=nothing))


@pytest.fixture(params=["database", "folder"])
def boards(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Board, Board]]:
    """The same board, as two processes have it."""
    if request.param == "database":
        alias = request.getfixturevalue("database")
        yield DatabaseBoard(alias), DatabaseBoard(alias)
        return
    one, other = folder_board(tmp_path), folder_board(tmp_path)
    yield one, other
    one.release_all()
    other.release_all()


# --- boards


def test_one_holds_a_lease_until_it_is_released(boards: tuple[Board, Board]) -> None:
    one, other = boards
    assert one.claim("queues", "a", 60)
    assert not other.claim("queues", "b", 60)
    assert one.claim("queues", "a", 60)
    one.release("queues", "a")
    assert other.claim("queues", "b", 60)
    assert not one.claim("queues", "a", 60)


def test_a_lease_that_is_not_renewed_runs_out_by_the_databases_clock(database: str) -> None:
    board = DatabaseBoard(database)
    assert board.claim("queues", "a", 0.05)
    assert not board.claim("queues", "b", 60)
    time.sleep(0.1)
    assert board.claim("queues", "b", 60)
    assert not board.put("queues", "a", "late")
    assert board.put("queues", "b", "in time")
    result = board.get("queues")
    assert result is not None
    assert result.text == "in time"


def test_what_is_left_can_be_read_with_its_age(boards: tuple[Board, Board]) -> None:
    one, other = boards
    assert other.get("queues") is None
    assert one.claim("queues", "a", 60)
    assert one.put("queues", "a", "[1]")
    result = other.get("queues")
    assert result is not None
    assert result.text == "[1]"
    assert 0 <= result.age_s < 5


def test_what_processes_post_of_themselves_is_found_by_its_prefix(
    boards: tuple[Board, Board],
) -> None:
    one, other = boards
    one.post("celery.worker/celery@a", "a", "1")
    one.post("celery.worker/celery@a", "a", "2")
    other.post("celery.worker/celery@b", "b", "3")
    found = one.posted("celery.worker/")
    assert {name: result.text for name, result in found.items()} == {
        "celery@a": "2",
        "celery@b": "3",
    }
    one.remove("celery.worker/celery@b", "a")  # not a's
    assert len(other.posted("celery.worker/")) == 2
    one.remove("celery.worker/celery@b")
    one.remove("celery.worker/celery@b")
    assert list(other.posted("celery.worker/")) == ["celery@a"]


def test_what_another_host_saw_is_as_old_here_as_there(tmp_path: Path) -> None:
    board = folder_board(tmp_path)
    board.post("queues", "a", "[]", age_s=20.0)
    result = board.get("queues")
    assert result is not None
    assert 19 < result.age_s < 40


def test_the_tables_connection_is_closed_after_each_call(database: str) -> None:
    DatabaseBoard(database).claim("queues", "a", 60)
    assert connections[database].connection is None


def test_a_missing_database_or_table_is_said_without_the_drivers_words(database: str) -> None:
    call_command("migrate", "otel_django", "zero", database=database, verbosity=0)
    for alias, said in ((database, "OperationalError"), ("nowhere", "ConnectionDoesNotExist")):
        with pytest.raises(BoardAway) as caught:
            DatabaseBoard(alias).get("queues")
        assert str(caught.value) == said


def test_a_lock_goes_with_its_process(tmp_path: Path) -> None:
    held = multiprocessing.get_context("fork").Event()

    def hold() -> None:
        board = folder_board(tmp_path)
        assert board.claim("queues", "child", 60)
        held.set()
        time.sleep(60)

    child = multiprocessing.get_context("fork").Process(target=hold)
    child.start()
    board = folder_board(tmp_path)
    try:
        assert held.wait(20)
        assert not board.claim("queues", "parent", 60)
        child.kill()
        child.join(20)
        assert board.claim("queues", "parent", 60)
    finally:
        child.kill()
        child.join(20)
        board.release_all()


def test_a_lock_that_its_process_doesnt_renew_is_taken_over_and_it_finds_out(
    tmp_path: Path,
) -> None:
    stopped, other = folder_board(tmp_path), folder_board(tmp_path)
    assert stopped.claim("queues", "a", 20)
    long_ago_s = time.time() - 21
    os.utime(tmp_path / "host" / "queues.lock", (long_ago_s, long_ago_s))
    assert stopped.claim("queues", "a", 20)  # renewed
    assert not other.claim("queues", "b", 20)
    os.utime(tmp_path / "host" / "queues.lock", (long_ago_s, long_ago_s))
    assert other.claim("queues", "b", 20)
    assert not stopped.claim("queues", "a", 20)
    assert other.claim("queues", "b", 20)
    other.release_all()


# --- turns


class Looking:
    """An observer of a number that it counts up."""

    timeout_s = 5.0
    interval_s = 15.0

    def __init__(self, scope: Literal["process", "host", "deployment"] = "deployment") -> None:
        self.name = "looking"
        self.scope: Literal["process", "host", "deployment"] = scope
        self.looks = 0
        self.possible = True
        self.fault: Exception | None = None

    def is_possible(self) -> bool:
        return self.possible

    def observe(self) -> Iterator[Observation]:
        if self.fault is not None:
            raise self.fault
        self.looks += 1
        yield Observation(
            metrics.CELERY_QUEUE_LENGTH.name, self.looks, {"messaging.destination.name": "q"}
        )


class Host:
    """One process of a host; ``turn`` is its observer's."""

    def __init__(
        self,
        path: Path,
        clock: SteppedClock,
        board: Board,
        name: str,
        scope: Literal["process", "host", "deployment"] = "deployment",
    ) -> None:
        self.failures: list[tuple[str, str]] = []
        self.observer = Looking(scope)
        self.folder = folder_board(path)
        self.places = Places(board, lambda: self.folder)
        self.turn = Turn(
            self.observer,
            self.places,
            owner=lambda: name,
            clock=clock,
            failed=lambda observer, kind: self.failures.append((observer, kind)),
        )

    def values(self) -> list[float]:
        return [one.value for one in self.turn.shown()]


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


def test_one_process_of_all_hosts_looks_once_an_interval_and_shows_it(
    tmp_path: Path, clock: SteppedClock, database: str
) -> None:
    board = DatabaseBoard(database)
    here = Host(tmp_path / "one", clock, board, "a")
    beside = Host(tmp_path / "one", clock, board, "b")
    there = Host(tmp_path / "two", clock, board, "c")
    for _ in range(6):
        for process in (here, beside, there):
            process.turn.step()
        clock.s += 5
    assert [process.observer.looks for process in (here, beside, there)] == [2, 0, 0]
    assert [process.values() for process in (here, beside, there)] == [[2], [], []]
    for process in (here, beside, there):  # all can read it
        left = process.folder.get("looking")
        assert left is not None
        assert [one.value for one in read(left.text)] == [2]


def test_another_host_takes_over_when_the_lease_is_released(
    tmp_path: Path, clock: SteppedClock, database: str
) -> None:
    board = DatabaseBoard(database)
    here = Host(tmp_path / "one", clock, board, "a")
    there = Host(tmp_path / "two", clock, board, "b")
    here.turn.step()
    there.turn.step()
    here.turn.end()
    there.observer.interval_s = 0.0  # what the other has left is old enough
    clock.s += 15
    there.turn.step()
    assert here.values() == []
    assert there.values() == [1]


def test_a_host_whose_process_was_stopped_is_observed_by_another_of_its_processes(
    tmp_path: Path, clock: SteppedClock, database: str
) -> None:
    stopped = Host(tmp_path, clock, DatabaseBoard(database), "a")
    beside = Host(tmp_path, clock, DatabaseBoard(database), "b")
    beside.observer.interval_s = 0.0  # what the other has left is old enough
    stopped.turn.step()
    beside.turn.step()
    assert beside.values() == []
    long_ago_s = time.time() - HOST_TTL_S - 1
    os.utime(tmp_path / "host" / "host%2Flooking.lock", (long_ago_s, long_ago_s))
    DatabaseBoard(database).release("looking", "a")  # as if it had run out
    clock.s += 16
    beside.turn.step()
    stopped.turn.step()
    assert (stopped.observer.looks, beside.observer.looks) == (1, 1)
    assert stopped.values() == []


def test_a_process_that_can_no_longer_look_leaves_it_to_others_at_once(
    tmp_path: Path, clock: SteppedClock, database: str
) -> None:
    board = DatabaseBoard(database)
    one = Host(tmp_path, clock, board, "a", "process")
    one.turn.step()
    one.observer.possible = False
    one.turn.step()
    assert not board.posted("look")
    assert one.values() == []


def test_what_was_seen_is_shown_for_three_intervals(
    tmp_path: Path, clock: SteppedClock, database: str
) -> None:
    here = Host(tmp_path, clock, DatabaseBoard(database), "a")
    here.turn.step()
    here.observer.fault = ConnectionError("password=hunter2")
    clock.s += 44
    assert here.values() == [1]
    clock.s += 2
    assert here.values() == []


def test_a_look_that_fails_is_counted_said_once_and_tried_less_often(
    tmp_path: Path, clock: SteppedClock, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    here = Host(tmp_path, clock, DatabaseBoard(database), "a")
    here.observer.fault = ConnectionError("password=hunter2")
    waits = []
    with caplog.at_level(logging.WARNING, "otel_django"):
        for _ in range(4):
            waits.append(round(here.turn.step()))
            clock.s = here.turn.due_s
    assert waits == [30, 60, 60, 60]
    assert here.failures == [("looking", "ConnectionError")] * 4
    assert [record.getMessage() for record in caplog.records] == [
        "looking can't be observed (ConnectionError); otel_django goes on trying."
    ]
    here.observer.fault = None
    assert round(here.turn.step()) == 15
    assert here.values() == [1]


def test_without_the_table_each_host_observes_and_the_table_is_used_once_it_is_there(
    tmp_path: Path, clock: SteppedClock, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    board = DatabaseBoard(database)
    call_command("migrate", "otel_django", "zero", database=database, verbosity=0)
    here = Host(tmp_path / "one", clock, board, "a")
    there = Host(tmp_path / "two", clock, board, "b")
    with caplog.at_level(logging.INFO, "otel_django"):
        for _ in range(3):
            here.turn.step()
            there.turn.step()
            clock.s += 15.1
    assert (here.observer.looks, there.observer.looks) == (2, 2)
    assert [each.levelname for each in caplog.records] == ["INFO"] * 2  # one a process
    call_command("migrate", "otel_django", database=database, verbosity=0)
    clock.s += 60
    for _ in range(3):
        here.turn.step()
        there.turn.step()
        clock.s += 15.1
    assert board.get("looking") is not None
    assert there.values() == []


def test_a_database_that_is_away_for_a_moment_doesnt_part_the_hosts(
    tmp_path: Path, clock: SteppedClock, database: str
) -> None:
    board = DatabaseBoard(database)
    here = Host(tmp_path / "one", clock, board, "a")
    there = Host(tmp_path / "two", clock, board, "b")
    here.turn.step()
    there.turn.step()
    call_command("migrate", "otel_django", "zero", database=database, verbosity=0)
    clock.s += 16
    here.turn.step()
    there.turn.step()
    assert here.places.deployment(clock.s) is board
    assert there.places.deployment(clock.s) is board
    clock.s += PATIENCE_S
    here.turn.step()
    assert here.places.deployment(clock.s) is here.folder


def test_a_process_posts_of_itself_and_takes_it_back_at_its_end(
    tmp_path: Path, clock: SteppedClock, database: str
) -> None:
    board = DatabaseBoard(database)
    one = Host(tmp_path, clock, board, "a", "process")
    one.turn.step()
    assert list(board.posted("look")) == ["ing"]
    one.turn.end()
    assert not board.posted("look")


# --- the runner


def started(
    tmp_path: Path, database: str, observer: Any, measured: Measured
) -> tuple[Runner, Places]:
    from otel_django.clock import SYSTEM_CLOCK

    folder = folder_board(tmp_path)
    places = Places(DatabaseBoard(database), lambda: folder)
    return Runner((observer,), places, clock=SYSTEM_CLOCK, recorder=measured.recorder), places


def wait_for(done: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_process_that_may_look_does_so_on_a_thread_of_its_own_and_shows_it(
    tmp_path: Path, database: str
) -> None:
    measured = Measured()
    runner, places = started(tmp_path, database, Looking(), measured)
    runner.poll(time.monotonic())
    wait_for(lambda: measured.points(metrics.CELERY_QUEUE_LENGTH))
    assert measured.counts(metrics.CELERY_QUEUE_LENGTH) == {("q",): 1}
    latest = runner.latest("looking")
    assert latest is not None
    assert [one.value for one in latest] == [1]
    assert runner.latest("another") is None
    runner.close(time.monotonic() + 5)
    assert not any(thread.name.startswith("otel_django-obs") for thread in threading.enumerate())
    assert measured.counts(metrics.CELERY_QUEUE_LENGTH) == {}
    places.after_fork()


def test_a_process_that_cant_look_has_no_thread(tmp_path: Path, database: str) -> None:
    observer = Looking()
    observer.possible = False
    runner, _ = started(tmp_path, database, observer, Measured())
    assert runner.poll(time.monotonic()) == 5.0
    assert not any(thread.name.startswith("otel_django-obs") for thread in threading.enumerate())


def test_a_forked_child_leaves_the_parents_lock_and_lease_alone(
    tmp_path: Path, database: str
) -> None:
    measured = Measured()
    observer = Looking()
    runner, places = started(tmp_path, database, observer, measured)
    runner.poll(time.monotonic())
    wait_for(lambda: measured.points(metrics.CELERY_QUEUE_LENGTH))
    pid = os.fork()
    if not pid:
        runner.after_fork()
        measured.recorder.after_fork()
        elected = any(turn.wanted() for turn in runner._turns)
        shown = measured.counts(metrics.CELERY_QUEUE_LENGTH)
        os._exit(1 if elected or shown else 0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert not folder_board(tmp_path).claim("host/looking", "x", 60)
    runner.close(time.monotonic() + 5)
    places.after_fork()


def test_queries_of_the_observers_are_neither_traced_nor_measured(
    tmp_path: Path, database: str
) -> None:
    measured = Measured()
    with capture() as captured:
        runner, places = started(tmp_path, database, Looking(), measured)
        runner.poll(time.monotonic())
        wait_for(lambda: measured.points(metrics.CELERY_QUEUE_LENGTH))
        runner.close(time.monotonic() + 5)
        assert not captured.spans
        assert not [one for one in captured.metrics if one.name.startswith("db.")]
    places.after_fork()


def test_a_locked_database_file_costs_a_look_and_no_more(
    tmp_path: Path, clock: SteppedClock, database: str
) -> None:
    board = DatabaseBoard(database)
    connections.databases[database]["OPTIONS"] = {"timeout": 0.1}
    here = Host(tmp_path, clock, board, "a")
    here.turn.step()
    other = sqlite3.connect(connections.databases[database]["NAME"])
    other.execute("BEGIN EXCLUSIVE")
    clock.s += 16
    here.turn.step()
    other.close()
    clock.s += 16
    here.turn.step()
    assert here.values() == [2]


# --- backlog


def test_a_queue_that_grows_again_and_again_is_told_of_once_until_it_shrinks() -> None:
    backlog = Backlog()

    def told(*lengths: int) -> list[tuple[int, int]]:
        return [
            (grown.before, grown.length)
            for length in lengths
            for grown in backlog.look({"jobs": length})
        ]

    assert told(LONG, LONG + 1, LONG + 2, LONG + 3) == []
    assert told(LONG + 4, LONG + 5, LONG + 9) == [(LONG, LONG + 4)]
    assert told(5, 10, 20, 30, 40, 50, LONG) == [(20, LONG)]


def test_short_queues_and_those_that_stay_as_long_are_no_backlog() -> None:
    backlog = Backlog()
    for length in (1, 2, 3, 4, 5, 6, 0, 500, 500, 500, 500, 500, 500, 501):
        assert backlog.look({"jobs": length}) == []
