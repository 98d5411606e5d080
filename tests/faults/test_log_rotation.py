"""One log file, many writers, and what can happen to it."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_django.logs.file import LogFile
from otel_django.logs.rotation import rotation_from

ROOT = Path(__file__).parents[2]
DAY_S = 86_400
NEVER = rotation_from("off")


def full_files(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}.*Z"))


def written(path: Path) -> list[str]:
    return [line for file in [*full_files(path), path] for line in file.read_text().splitlines()]


def test_four_writers_rotate_one_file_with_no_line_lost_or_torn(tmp_path: Path) -> None:
    path = tmp_path / "site.log"
    count = 4000
    writers = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.faults.log_writer",
                path,
                name,
                str(count),
                "4KB",
                "9999",
            ],
            cwd=ROOT,
        )
        for name in "abcd"
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0, 0]
    numbers = defaultdict(list)
    for line in written(path):
        for name, number in json.loads(line).items():
            if name != "text":
                numbers[name].append(number)
    assert {
        name: sorted(seen) == list(range(count)) for name, seen in numbers.items()
    } == dict.fromkeys("abcd", True)
    assert len(full_files(path)) > 50


class Time:
    """A clock that is moved by hand."""

    def __init__(self, now_s: float = 1.8e9) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def test_only_so_many_full_files_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "site.log"
    (tmp_path / "site.log.notes").write_text("not ours")
    clock = Time()
    file = LogFile(path, rotation_from("1KB"), 3, now_s=clock)
    for number in range(200):
        file.write(b'{"number": %d, "text": "%s"}\n' % (number, b"x" * 80))
        clock.now_s += 10.0
    assert len(full_files(path)) == 3
    assert (tmp_path / "site.log.notes").exists()


def test_a_full_file_that_others_may_still_be_writing_is_not_deleted_yet(tmp_path: Path) -> None:
    path = tmp_path / "site.log"
    clock = Time()
    one, other = (LogFile(path, rotation_from("1KB"), 0, now_s=clock) for _ in range(2))
    other.write(b"before\n")
    for _ in range(40):
        one.write(b"x" * 100 + b"\n")
    other.write(b"after\n")
    assert {"before", "after"} <= set(written(path))


@pytest.mark.parametrize(("word", "days"), [("daily", 1), ("weekly", 7)])
def test_a_new_file_is_begun_when_the_day_or_week_is_over_by_one_of_the_writers(
    tmp_path: Path, word: str, days: int
) -> None:
    monday_s = 4 * DAY_S + 700 * 7 * DAY_S  # 1970-01-05, and 700 weeks
    now_s = monday_s + 10.0
    path = tmp_path / "site.log"
    one, other = (LogFile(path, rotation_from(word), 8, now_s=lambda: now_s) for _ in range(2))
    one.write(b"first\n")
    other.write(b"first too\n")
    now_s = monday_s + days * DAY_S - 1.0
    one.write(b"first as well\n")
    now_s += 1.0
    one.write(b"second\n")
    other.write(b"second too\n")
    assert path.read_text() == "second\nsecond too\n"
    assert [full.read_text() for full in full_files(path)] == ["first\nfirst too\nfirst as well\n"]


def test_a_file_of_an_earlier_day_is_put_away_by_a_process_that_starts(tmp_path: Path) -> None:
    path = tmp_path / "site.log"
    path.write_text("yesterday\n")
    os.utime(path, (time.time() - DAY_S, time.time() - DAY_S))
    LogFile(path, rotation_from("daily"), 8).write(b"today\n")
    assert path.read_text() == "today\n"
    assert [full.read_text() for full in full_files(path)] == ["yesterday\n"]


def moved(path: Path) -> None:
    path.rename(path.with_suffix(".old"))


def emptied(path: Path) -> None:
    os.truncate(path, 0)


@pytest.mark.parametrize("logrotate", [moved, emptied])
def test_the_file_is_found_again_after_logrotate(
    tmp_path: Path, logrotate: Callable[[Path], None]
) -> None:
    path = tmp_path / "site.log"
    clock = Time()
    file = LogFile(path, NEVER, 8, now_s=clock)
    file.write(b"before\n")
    logrotate(path)
    clock.now_s += 1.0
    file.write(b"after\n")
    assert path.read_text() == "after\n"


def test_only_the_sites_user_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "site.log"
    before = os.umask(0)
    try:
        file = LogFile(path, rotation_from("1KB"), 8)
        for _ in range(30):
            file.write(b"x" * 99 + b"\n")
    finally:
        os.umask(before)
    modes = {file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == {0o600}
    assert len(full_files(path)) == 2


def test_where_no_file_can_be_made_lines_are_counted_as_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    file = LogFile(tmp_path / "file" / "site.log", rotation_from("daily"), 8)
    for _ in range(3):
        file.write(b"line\n")
    assert file.lost == 3
    assert [record.getMessage()[:30] for record in caplog.records] == [
        "The log file can't be written "
    ]


def test_a_device_is_written_but_never_rotated() -> None:
    file = LogFile(Path("/dev/null"), rotation_from("1KB"), 0)
    for _ in range(30):
        file.write(b"x" * 99 + b"\n")
    assert file.lost == 0
    assert Path("/dev/null").is_char_device()


def test_a_disk_that_is_full_loses_lines_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "site.log"
    pid = os.fork()
    if not pid:  # a process of its own: the limit can't be taken back
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (250, 250))
        file = LogFile(path, NEVER, 8)
        for _ in range(5):
            file.write(b"x" * 99 + b"\n")
        os._exit(file.lost)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 3
    assert path.read_bytes()[:200] == (b"x" * 99 + b"\n") * 2
