"""How many different ones there were."""

from __future__ import annotations

import multiprocessing
import random
from pathlib import Path

import pytest

from otel_django.file_lock import let_go
from otel_django.metrics.distinct import Marks, Sketches, Window, mark, size
from otel_django.metrics.host_folder import HostFolder
from otel_django.metrics.shared_sketches import SharedSketches
from tests.host_kit import nothing

WINDOWS = (Window("short", 10, 6), Window("long", 60, 5))


def marks_of(hashes: list[int]) -> Marks:
    marks: Marks = {}
    for hashed in hashes:
        mark(marks, hashed)
    return marks


def hashes(seed: int, many: int) -> list[int]:
    rng = random.Random(seed)
    return [rng.getrandbits(64) for _ in range(many)]


def shared(path: Path, *, folder: bool = True) -> SharedSketches:
    made = HostFolder(path / "host", pause=nothing) if folder else None
    return SharedSketches(WINDOWS, "clients", lambda: made)


@pytest.mark.parametrize(("many", "tolerance"), [(1, 0), (20, 0), (500, 0.03), (200_000, 0.06)])
def test_the_number_is_right_within_a_few_hundredths(many: int, tolerance: float) -> None:
    sketches = Sketches(WINDOWS, bytearray(size(WINDOWS)))
    for _ in range(2):  # those that come again don't count again
        sketches.raise_to(marks_of(hashes(1, many)), 1000.0)
    assert sketches.count("short", 1000.0, nothing) == pytest.approx(many, rel=tolerance or 1e-9)


def test_the_greatest_and_the_smallest_hash_have_their_place() -> None:
    sketches = Sketches(WINDOWS, bytearray(size(WINDOWS)))
    sketches.raise_to(marks_of([0, 2**64 - 1]), 1000.0)
    assert sketches.count("long", 1000.0, nothing) == 2


def test_each_window_forgets_after_its_own_time() -> None:
    sketches = Sketches(WINDOWS, bytearray(size(WINDOWS)))
    sketches.raise_to(marks_of(hashes(1, 10)), 1000.0)
    sketches.raise_to(marks_of(hashes(2, 5)), 1040.0)

    def counts(now_s: float) -> tuple[int, int]:
        return sketches.count("short", now_s, nothing), sketches.count("long", now_s, nothing)

    assert counts(1049.0) == (15, 15)
    assert counts(1061.0) == (5, 15)
    assert counts(1101.0) == (0, 15)
    assert counts(1400.0) == (0, 0)
    sketches.raise_to(marks_of(hashes(3, 3)), 1400.0)  # in the place of an older step
    assert counts(1400.0) == (3, 3)


def test_a_clock_that_is_put_back_shows_nothing_of_the_future() -> None:
    sketches = Sketches(WINDOWS, bytearray(size(WINDOWS)))
    sketches.raise_to(marks_of(hashes(1, 10)), 5000.0)
    assert sketches.count("short", 1000.0, nothing) == 0


def add(path: Path, seed: int) -> None:
    sketches = shared(path)
    for one in hashes(seed, 50):
        while not sketches.raise_to(marks_of([one]), 1000.0):
            pass


def test_processes_that_add_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    shared(tmp_path)
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=add, args=(tmp_path, seed)) for seed in (1, 1, 2, 3)]
    for child in children:
        child.start()
    for child in children:
        child.join(30)
    assert [child.exitcode for child in children] == [0] * 4
    assert shared(tmp_path).counts(1000.0)["short"] == pytest.approx(150, abs=3)


def test_whoever_finds_another_at_it_is_told(tmp_path: Path) -> None:
    sketches = shared(tmp_path)
    held = HostFolder(tmp_path / "host", pause=nothing).lock("clients.lock")
    assert held is not None
    assert not sketches.raise_to({1: 1}, 1000.0)
    let_go(held)
    assert sketches.raise_to({1: 1}, 1000.0)
    assert sketches.counts(1000.0) == {"short": 1, "long": 1}


def test_a_file_that_is_something_else_begins_anew(tmp_path: Path) -> None:
    sketches = shared(tmp_path)
    file = tmp_path / "host" / "clients"
    file.write_bytes(b"something else")
    assert sketches.counts(1000.0) == {}
    assert sketches.raise_to({1: 1}, 1000.0)
    assert file.stat().st_size == size(WINDOWS)
    assert oct(file.stat().st_mode & 0o777) in {"0o600", "0o644"}
    assert sketches.counts(1000.0) == {"short": 1, "long": 1}


def test_a_folder_that_is_gone_is_no_fault(tmp_path: Path) -> None:
    sketches = shared(tmp_path)
    assert sketches.raise_to({1: 1}, 1000.0)
    for entry in (tmp_path / "host").iterdir():
        entry.unlink()
    (tmp_path / "host").rmdir()
    assert not sketches.raise_to({1: 1}, 1000.0)
    assert sketches.counts(1000.0) == {}


def test_without_a_folder_a_process_counts_for_itself(tmp_path: Path) -> None:
    sketches = shared(tmp_path, folder=False)
    assert sketches.counts(1000.0) == {}
    assert sketches.raise_to({1: 1}, 1000.0)
    assert sketches.counts(1000.0) == {"short": 1, "long": 1}
