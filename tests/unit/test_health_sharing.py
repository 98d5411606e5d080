"""What is left for a host's other processes, and what becomes of a folder that can't be used."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_django.clock import SYSTEM_CLOCK
from otel_django.conf import Settings
from otel_django.health.check import Registered
from otel_django.health.engine import Engine
from otel_django.health.registry import Registry
from otel_django.health.results import CheckReport, Result
from otel_django.health.sharing import Busy, Claim, Kept, Sharing
from otel_django.metrics.host_folder import HostFolder

KEPT = Kept((Result("degraded", "slow ☃\n\x1b[31m", {"used_ratio": 0.5}, "a"),), 0.25, 17.0)


def nothing() -> None:
    pass


def sharing(path: Path) -> Sharing:
    return Sharing(HostFolder(path, pause=nothing))


def claimed(place: Sharing, now_s: float = 10.0, patience_s: float = 3.0) -> Claim:
    claim = place.claim("it", now_s, patience_s)
    assert isinstance(claim, Claim)
    return claim


def test_what_one_leaves_another_reads(tmp_path: Path) -> None:
    one, other = sharing(tmp_path), sharing(tmp_path)
    assert other.read("it") is None
    claim = claimed(one)
    claim.leave(KEPT)
    claim.release()
    assert other.read("it") == KEPT
    one.forget()
    assert other.read("it") is None


def test_one_asks_at_a_time_and_says_since_when(tmp_path: Path) -> None:
    one, other = sharing(tmp_path), sharing(tmp_path)
    claim = claimed(one, now_s=10.0)
    assert other.claim("it", 11.0, 3.0) == Busy(10.0)
    assert isinstance(other.claim("another", 11.0, 3.0), Claim)
    claim.release()
    claim.release()
    claimed(other).release()


def test_a_lock_that_is_held_far_too_long_is_taken_over(tmp_path: Path) -> None:
    one, other = sharing(tmp_path), sharing(tmp_path)
    stopped = claimed(one, now_s=10.0)
    assert other.claim("it", 13.0, 3.0) == Busy(10.0)
    taken = claimed(other, now_s=13.5)
    assert not stopped.is_ours()
    assert taken.is_ours()
    stopped.release()
    assert one.claim("it", 14.0, 3.0) == Busy(13.5)


def test_what_was_left_before_the_machine_was_started_anew_is_nothing(tmp_path: Path) -> None:
    one, other = sharing(tmp_path), sharing(tmp_path)
    one._boot = "an earlier one"
    claimed(one).leave(KEPT)
    assert other.read("it") is None


@pytest.mark.parametrize(
    "harm", [b"", b"{", b"\xff\xfe", b"[]", b"null", b'["b", 1, 2, [["great", "", {}, ""]]]']
)
def test_a_file_that_was_harmed_is_nothing(tmp_path: Path, harm: bytes) -> None:
    place = sharing(tmp_path)
    claimed(place).leave(KEPT)
    (left,) = tmp_path.glob("*.observed")
    left.write_bytes(b"\n" + harm)
    assert place.read("it") is None
    place.forget()


def delete(folder: Path) -> None:
    shutil.rmtree(folder)


def replace_by_a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("no folder")


def make_unwritable(folder: Path) -> None:
    """For root, too: nothing can be made under these names."""
    for each in [*folder.glob("health-*"), *folder.glob("*.observed")]:
        each.unlink()
    for name in ("health-it.lock", "health%2Fit.observed"):
        (folder / name).mkdir()


@pytest.mark.parametrize("harm", [delete, replace_by_a_file, make_unwritable])
def test_without_its_folder_each_process_asks_for_itself(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    registry = Registry()
    asked = []
    registry.add(Registered("it", lambda: asked.append(time.monotonic()), ttl_s=0.2))
    folder = HostFolder(tmp_path / "host", pause=nothing)
    engine = Engine(Settings(), registry, folder=folder, clock=SYSTEM_CLOCK)

    def found() -> CheckReport:
        return engine.report().checks[0]

    assert found().status == "healthy"
    harm(tmp_path / "host")
    time.sleep(0.25)
    for _ in range(5):
        assert found().status == "healthy"
    assert len(asked) == 2
    engine.forget()
    assert found().status == "healthy"
    assert len(asked) == 3
