"""Spools of processes that are gone: taken over by one living process, whatever lies about."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from otel_django.pipeline.spool import Spool
from tests.delivery_kit import files_below

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALL = (1_000_000, 1 << 30)

WRITER = """
import sys, time
from pathlib import Path
from otel_django.pipeline.spool import Spool
spool = Spool(Path(sys.argv[1]), max_bytes=1 << 24)
for number in range(int(sys.argv[2])):
    spool.append(b"%s %d" % (sys.argv[3].encode(), number), 10)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def writers(root: Path) -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def start_writer(writers: list[subprocess.Popen[str]], root: Path, count: int, name: str) -> int:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(root), str(count), name],
        stdout=subprocess.PIPE,
        text=True,
    )
    writers.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process.pid


def orphan(root: Path, *bodies: bytes) -> Path:
    """A directory whose process let go of it."""
    spool = Spool(root, max_bytes=1 << 24)
    before = set(root.iterdir()) if root.exists() else set()
    for body in bodies:
        spool.append(body, 10)
    (folder,) = set(root.iterdir()) - before
    spool.close()
    return folder


def test_a_killed_process_loses_nothing_and_a_living_one_is_left_alone(
    root: Path, writers: list[subprocess.Popen[str]]
) -> None:
    killed = start_writer(writers, root, 3, "killed")
    start_writer(writers, root, 2, "alive")
    os.kill(killed, signal.SIGKILL)
    writers[0].wait()
    spool = Spool(root, max_bytes=1 << 24)
    own = spool.append(b"own", 10)
    assert spool.adopt_orphans(limit=5) == 1
    assert spool.items == 40
    found = spool.head(*ALL)
    assert [record.payload for record in found] == [b"killed 0", b"killed 1", b"killed 2"]
    spool.done(found)
    assert [record.payload for record in spool.head(*ALL)] == [b"own"]
    spool.done([own])
    spool.close()
    assert len([name for name in files_below(root) if "/" not in name]) == 1  # the living one's


def test_two_adopters_never_both_take_one(root: Path) -> None:
    orphan(root, b"body")
    one, other = Spool(root, max_bytes=1 << 24), Spool(root, max_bytes=1 << 24)
    assert (one.adopt_orphans(), other.adopt_orphans()) == (1, 0)
    one.close()
    assert other.adopt_orphans() == 1
    other.close()


def test_many_processes_adopt_each_directory_once(root: Path) -> None:
    for number in range(12):
        orphan(root, b"body %d" % number)
    adopter = """
import sys
from pathlib import Path
from otel_django.pipeline.spool import Spool
spool = Spool(Path(sys.argv[1]), max_bytes=1 << 24)
sys.stdin.read(1)
while spool.adopt_orphans():
    while found := spool.head(10**9, 1 << 30):
        print(*(record.payload.decode() for record in found), sep="\\n")
        spool.done(found)
"""
    command = [sys.executable, "-c", adopter, str(root)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    adopters = [subprocess.Popen(command, text=True, **pipes) for _ in range(4)]  # type: ignore[call-overload]
    found = [line for one in adopters for line in one.communicate("go")[0].splitlines()]
    assert sorted(found) == sorted(f"body {number}" for number in range(12))
    assert files_below(root) == []


def test_the_oldest_is_taken_first_and_one_at_a_time(root: Path) -> None:
    for body in (b"older", b"newer"):
        orphan(root, body)
        time.sleep(0.02)
    spool = Spool(root, max_bytes=1 << 24)
    seen = []
    while spool.adopt_orphans():
        assert spool.adopt_orphans() == 0
        (record,) = spool.head(*ALL)
        seen.append(record.payload)
        spool.done([record])
    assert seen == [b"older", b"newer"]


def test_replay_goes_on_where_the_dead_process_stopped(root: Path) -> None:
    first = Spool(root, max_bytes=1 << 24)
    kept = [first.append(b"%d" % number, 10) for number in range(5)]
    first.done(kept[:3])
    first.close()
    second = Spool(root, max_bytes=1 << 24)
    second.adopt_orphans()
    assert [record.payload for record in second.head(*ALL)] == [b"3", b"4"]
    assert second.items == 20
    second.close()


def test_without_a_head_everything_is_sent_again(root: Path) -> None:
    folder = orphan(root, b"a", b"b")
    (folder / "head").write_bytes(b"")
    spool = Spool(root, max_bytes=1 << 24)
    spool.adopt_orphans()
    assert [record.payload for record in spool.head(*ALL)] == [b"a", b"b"]
    spool.close()


@pytest.mark.parametrize("cut", [1, 10, 26, 40])
def test_a_torn_tail_is_counted_and_the_rest_is_kept(root: Path, cut: int) -> None:
    folder = orphan(root, b"whole", b"torn" * 5)  # the second record has 44 bytes
    segment = folder / "00000001.seg"
    os.truncate(segment, segment.stat().st_size - cut)
    lost: list[int] = []
    spool = Spool(root, max_bytes=1 << 24, on_lost=lost.append)
    spool.adopt_orphans()
    found = spool.head(*ALL)
    assert [record.payload for record in found] == [b"whole"]
    assert lost == ([10] if cut <= 20 else [1])  # with its header the count is known
    spool.done(found)
    assert spool.is_empty
    assert not folder.exists()


def test_an_empty_or_missing_segment_harms_nothing(root: Path) -> None:
    folder = orphan(root, b"body")
    (folder / "00000005.seg").write_bytes(b"")
    (folder / "00000009.seg").write_bytes((folder / "00000001.seg").read_bytes())
    spool = Spool(root, max_bytes=1 << 24)
    assert spool.adopt_orphans() == 1
    found = spool.head(*ALL)
    assert [record.payload for record in found] == [b"body", b"body"]
    spool.done(found)
    assert not folder.exists()


def test_an_empty_directory_of_a_dead_process_is_removed(root: Path) -> None:
    folder = orphan(root, b"body")
    (folder / "00000001.seg").unlink()
    assert Spool(root, max_bytes=1 << 24).adopt_orphans() == 0
    assert not folder.exists()


def test_foreign_files_and_other_signals_are_left_alone(root: Path) -> None:
    folder = orphan(root, b"body")
    logs = folder.with_name(folder.name.replace("traces", "logs"))
    folder.rename(logs)
    (root / "notes.txt").write_text("mine")
    (root / "traces-backup").mkdir()
    (root / "traces-backup" / "lock").touch()
    (root / "traces-00000000-1-1-00000000").write_text("a file, not a directory")
    no_lock = root / "traces-00000000-1-1-11111111"
    no_lock.mkdir()
    before = files_below(root)
    assert Spool(root, max_bytes=1 << 24).adopt_orphans() == 0
    assert files_below(root) == before


def test_links_are_not_followed(root: Path, tmp_path: Path) -> None:
    elsewhere = orphan(tmp_path / "elsewhere", b"body")
    root.mkdir()
    (root / elsewhere.name).symlink_to(elsewhere)
    assert Spool(root, max_bytes=1 << 24).adopt_orphans() == 0
    folder = orphan(root, b"body")
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (folder / "00000002.seg").symlink_to(secret)
    (folder / "head").unlink()
    (folder / "head").symlink_to(secret)
    spool = Spool(root, max_bytes=1 << 24)
    assert spool.adopt_orphans() == 1
    spool.done(spool.head(*ALL))
    spool.close()
    assert secret.read_text() == "secret"
    linked = orphan(root, b"body")
    (linked / "lock").unlink()
    (linked / "lock").symlink_to(secret)
    assert Spool(root, max_bytes=1 << 24).adopt_orphans() == 0


def test_a_pipe_in_place_of_a_file_blocks_nobody(root: Path) -> None:
    folder = orphan(root, b"body")
    os.mkfifo(folder / "00000002.seg")
    (folder / "lock").unlink()
    os.mkfifo(folder / "lock")
    assert Spool(root, max_bytes=1 << 24).adopt_orphans() == 0


def test_another_users_directory_is_not_taken(root: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    folder = orphan(root, b"body")
    os.chown(folder, 65534, 65534)
    assert Spool(root, max_bytes=1 << 24).adopt_orphans() == 0


def test_what_root_makes_belongs_to_the_owner_of_the_folder_above(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    os.chown(tmp_path, 65534, 65534)
    spool = Spool(tmp_path / ".otel_django" / "spool", max_bytes=1 << 20)
    spool.append(b"body", 1)
    for path in (tmp_path / ".otel_django").rglob("*"):
        assert path.stat().st_uid == 65534, path
    spool.close()


def test_a_half_made_directory_is_removed_once_it_is_old(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_made = root / ".new-traces-00000000-1-1-00000000"
    half_made.mkdir(parents=True)
    (half_made / "lock").touch()
    spool = Spool(root, max_bytes=1 << 24)
    spool.adopt_orphans()
    assert half_made.exists()
    later = time.time() + 120
    monkeypatch.setattr(time, "time", lambda: later)
    spool.adopt_orphans()
    assert not half_made.exists()


def test_a_directory_that_its_last_adopter_removed_meanwhile_is_not_taken(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")
    folder = orphan(root, b"body")
    lock = fcntl.flock

    def too_late(fd: int, how: int) -> None:
        (folder / "lock").unlink()  # after our open, before our lock,
        (folder / "lock").touch()  # and another process is there already
        lock(fd, how)

    monkeypatch.setattr(fcntl, "flock", too_late)
    assert Spool(root, max_bytes=1 << 24).adopt_orphans() == 0
