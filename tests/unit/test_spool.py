"""The spool on disk: order, budget, privacy, damage."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from otel_django.errors import SpoolError
from otel_django.pipeline.spool import Spool, SpoolFullError
from tests.delivery_kit import TurnedClock, files_below

if TYPE_CHECKING:
    from pathlib import Path

    from otel_django.pipeline.spool import SpoolRecord

ALL = (1_000_000, 1 << 30)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / ".otel_django" / "spool"


def payloads(records: list[SpoolRecord]) -> list[bytes]:
    return [record.payload for record in records]


def own_folder(root: Path) -> Path:
    (folder,) = root.iterdir()
    return folder


def test_nothing_is_made_before_the_first_append(root: Path) -> None:
    spool = Spool(root, max_bytes=1 << 20)
    assert spool.head(*ALL) == []
    assert spool.adopt_orphans() == 0
    assert (spool.items, spool.is_empty, spool.size_bytes) == (0, True, 0)
    spool.close()
    assert not root.parent.exists()


def test_records_come_back_in_order_until_they_are_done(root: Path) -> None:
    spool = Spool(root, max_bytes=1 << 20)
    kept = [spool.append(b"body %d" % number, number) for number in range(1, 6)]
    assert payloads(spool.head(*ALL)) == [b"body %d" % number for number in range(1, 6)]
    assert spool.items == 15
    spool.done(kept[:2])
    assert payloads(spool.head(*ALL)) == [b"body 3", b"body 4", b"body 5"]
    assert spool.items == 12
    spool.done(spool.head(*ALL))
    assert (spool.head(*ALL), spool.items, spool.is_empty) == ([], 0, True)


def test_a_head_is_bounded_by_items_and_bytes_but_has_at_least_one(root: Path) -> None:
    spool = Spool(root, max_bytes=1 << 20)
    for number in range(4):
        spool.append(bytes(100) + bytes([number]), 10)
    assert len(spool.head(20, 1 << 20)) == 2
    assert len(spool.head(1_000, 250)) == 2
    assert len(spool.head(1, 1)) == 1


def test_a_record_may_be_done_before_those_ahead_of_it(root: Path) -> None:
    spool = Spool(root, max_bytes=1 << 20)
    first, second, third = (spool.append(body, 1) for body in (b"one", b"two", b"three"))
    spool.done([second])
    spool.done([second])
    assert payloads(spool.head(*ALL)) == [b"one", b"three"]
    assert spool.items == 2
    spool.done([first, third])
    assert spool.is_empty


def test_segments_are_deleted_as_they_are_done(root: Path) -> None:
    spool = Spool(root, max_bytes=2 << 20)  # segments of 128 KiB
    kept = [spool.append(bytes(50_000), 1) for _ in range(10)]
    segments = sorted(path.name for path in own_folder(root).glob("*.seg"))
    assert segments == [f"{number:08d}.seg" for number in range(1, 6)]
    spool.done(kept[:5])
    assert sorted(path.name for path in own_folder(root).glob("*.seg")) == segments[2:]
    spool.done(kept[5:])
    assert list(own_folder(root).glob("*.seg")) == []
    assert spool.size_bytes == 0
    spool.append(b"again", 1)
    assert payloads(spool.head(*ALL)) == [b"again"]


def test_an_empty_spool_leaves_no_folder_of_its_own(root: Path) -> None:
    spool = Spool(root, max_bytes=1 << 20)
    spool.done([spool.append(b"body", 1)])
    spool.close()
    assert files_below(root) == []


def test_files_are_private_and_hidden_from_version_control(root: Path) -> None:
    before = os.umask(0)
    try:
        spool = Spool(root, max_bytes=1 << 20)
        spool.append(b"body", 1)
    finally:
        os.umask(before)
    assert (root.parent / ".gitignore").read_text() == "*\n"
    for folder in (root.parent, root, own_folder(root)):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for file in own_folder(root).iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((root.parent / ".gitignore").stat().st_mode) == 0o600


def test_the_budget_counts_every_process_of_the_host(root: Path) -> None:
    clock = TurnedClock()
    one = Spool(root, max_bytes=200_000, clock=clock)
    other = Spool(root, max_bytes=200_000, clock=clock)
    one.append(bytes(90_000), 1)
    other.append(bytes(90_000), 1)
    clock.now_s += 5
    with pytest.raises(SpoolFullError):
        one.append(bytes(30_000), 1)
    other.done(other.head(*ALL))
    clock.now_s += 5
    one.append(bytes(30_000), 1)
    assert one.size_bytes > 120_000


def test_a_full_budget_refuses_and_keeps_what_is_there(root: Path) -> None:
    spool = Spool(root, max_bytes=100_000)
    spool.append(bytes(60_000), 1)
    with pytest.raises(SpoolFullError):
        spool.append(bytes(60_000), 1)
    assert spool.items == 1
    spool.append(bytes(20_000), 1)


def test_an_unwritable_folder_is_a_spool_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    spool = Spool(tmp_path / "file" / "spool", max_bytes=1 << 20)
    with pytest.raises(SpoolError, match="can't write to the spool"):
        spool.append(b"body", 1)
    assert spool.is_empty


def test_a_request_over_64_mib_is_refused(root: Path) -> None:
    with pytest.raises(SpoolError, match="64 MiB"):
        Spool(root, max_bytes=1 << 30).append(bytes((64 << 20) + 1), 1)


def test_many_threads_append_without_harm(root: Path) -> None:
    spool = Spool(root, max_bytes=64 << 20)

    def fill(thread: int) -> None:
        for number in range(50):
            spool.append(b"%d-%d" % (thread, number), 1)

    threads = [threading.Thread(target=fill, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = payloads(spool.head(*ALL))
    assert sorted(found) == sorted(b"%d-%d" % (t, n) for t in range(8) for n in range(50))
    assert spool.items == 400


def test_a_harmed_record_is_passed_over_and_counted(root: Path) -> None:
    lost: list[int] = []
    spool = Spool(root, max_bytes=1 << 20, on_lost=lost.append)
    for body in (b"first", b"second", b"third"):
        spool.append(body, 5)
    segment = own_folder(root) / "00000001.seg"
    segment.write_bytes(segment.read_bytes().replace(b"second", b"sEcond"))
    assert payloads(spool.head(*ALL)) == [b"first", b"third"]
    assert (lost, spool.items) == ([5], 10)
    spool.done(spool.head(*ALL))
    assert spool.is_empty


def test_an_unreadable_header_costs_the_rest_of_its_segment_only(root: Path) -> None:
    lost: list[int] = []
    spool = Spool(root, max_bytes=1 << 20, on_lost=lost.append)  # segments of 64 KiB
    for number in range(4):
        spool.append(b"%d" % number + bytes(30_000), 5)
    segment = own_folder(root) / "00000001.seg"
    data = bytearray(segment.read_bytes())
    second = data.rindex(b"oDs1")
    data[second : second + 4] = b"????"
    segment.write_bytes(data)
    assert [body[:1] for body in payloads(spool.head(*ALL))] == [b"0", b"2", b"3"]
    assert (lost, spool.items) == ([5], 15)
    spool.append(b"more", 1)
    assert payloads(spool.head(*ALL))[-1] == b"more"


def test_a_folder_that_someone_removed_is_counted_and_made_again(root: Path) -> None:
    lost: list[int] = []
    spool = Spool(root, max_bytes=1 << 20, on_lost=lost.append)
    spool.append(b"gone", 7)
    folder = own_folder(root)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    with pytest.raises(SpoolError):
        spool.append(b"refused", 1)
    assert lost == [7]
    spool.append(b"kept", 1)
    assert payloads(spool.head(*ALL)) == [b"kept"]
    spool.close()


def test_a_forked_child_leaves_the_parents_records_alone(root: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from otel_django.pipeline.spool import Spool
spool = Spool(Path(sys.argv[1]), max_bytes=1 << 20)
def bodies():
    return [record.payload.decode() for record in spool.head(100, 1 << 20)]
spool.append(b"parent's", 1)
pid = os.fork()
if pid == 0:
    spool.after_fork()
    spool.append(b"child's", 1)
    print("child", bodies(), spool.adopt_orphans(), flush=True)
    os._exit(0)
os.waitpid(pid, 0)
print("parent", bodies(), spool.adopt_orphans(), bodies(), flush=True)
spool.done(spool.head(100, 1 << 20))
print("then", bodies())
"""
    found = subprocess.run(
        [sys.executable, "-c", script, str(root)], capture_output=True, text=True, check=True
    )
    assert found.stdout.splitlines() == [
        """child ["child's"] 0""",
        """parent ["parent's"] 1 ["child's"]""",
        """then ["parent's"]""",
    ]


def test_a_record_the_disk_has_no_room_for_leaves_nothing_behind(root: Path) -> None:
    script = """
import resource, signal, sys
from pathlib import Path
from otel_django.errors import SpoolError
from otel_django.pipeline.spool import Spool
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
spool = Spool(Path(sys.argv[1]), max_bytes=1 << 24)
for body in (b"1" * 20_000, b"2" * 40_000, b"3" * 20_000, b"4" * 40_000, b"5"):
    try:
        spool.append(body, 1)
    except SpoolError:
        print("refused", chr(body[0]))
print([chr(record.payload[0]) for record in spool.head(100, 1 << 20)], spool.items)
"""
    found = subprocess.run(
        [sys.executable, "-c", script, str(root)], capture_output=True, text=True, check=True
    )
    assert found.stdout.splitlines() == ["refused 2", "refused 4", "['1', '3', '5'] 3"]
