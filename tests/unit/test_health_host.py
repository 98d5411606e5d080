"""The checks of disk, memory, processors and load: on this machine, and in a container's limits."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from otel_django.conf import Settings
from otel_django.conf.limits import DEFAULTS, Limit
from otel_django.health.check import Registered
from otel_django.health.checks import cpu, disk, load, memory
from otel_django.health.checks.cpu import LEAST_JUDGED_S, CpuCheck
from otel_django.health.checks.disk import DiskCheck
from otel_django.health.checks.load import LoadCheck
from otel_django.health.checks.memory import MemoryCheck
from otel_django.health.control_group import ControlGroup
from otel_django.health.judging import judged

ALWAYS = Limit(0, 1000)
"""Degraded, whatever is found."""
NEVER = Limit(1000, 1000)
MIB = 1 << 20

Tree = Callable[..., ControlGroup]


@pytest.fixture
def group(tmp_path: Path) -> Tree:
    """Control groups with files as the kernel shows them."""

    def make(own: str, **files: str) -> ControlGroup:
        (tmp_path / "own").write_text(own)
        for name, text in files.items():
            path = tmp_path / "cgroup" / name.replace("__", "/").replace("_DOT_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return ControlGroup(tmp_path / "cgroup", tmp_path / "own")

    return make


def only(found: list[Registered]) -> Registered:
    (check,) = found
    return check


@pytest.mark.parametrize(
    ("value", "limit", "status"),
    [
        (79.9, Limit(80, 90), "healthy"),
        (80, Limit(80, 90), "degraded"),
        (90, Limit(80, 90), "unhealthy"),
        (22, Limit(21, 3), "healthy"),
        (21, Limit(21, 3), "degraded"),
        (3, Limit(21, 3), "unhealthy"),
        (5, Limit(5, 5), "unhealthy"),
    ],
)
def test_a_limit_is_reached_from_its_side(value: float, limit: Limit, status: str) -> None:
    assert judged(value, limit) == status


@pytest.mark.parametrize("module", [disk, memory, cpu, load])
def test_the_hosts_checks_take_no_process_from_the_balancer(module: object) -> None:
    settings = Settings(base_dir=Path("/"))
    check = only(list(module.checks(settings)))  # type: ignore[attr-defined]
    assert not check.groups
    assert not check.critical
    assert check.is_possible()


def test_a_disk_is_told_with_its_free_bytes(tmp_path: Path) -> None:
    (result,) = DiskCheck((str(tmp_path),), NEVER).run()
    space = psutil.disk_usage(str(tmp_path))
    assert (result.status, result.instance, result.message) == ("healthy", str(tmp_path), "")
    assert result.observed["free_bytes"] == pytest.approx(space.free, rel=0.05)
    assert 0 <= result.observed["used_ratio"] <= 1
    found = os.statvfs(tmp_path)
    assert ("inodes_used_ratio" in result.observed) == bool(found.f_files)


def test_a_full_disk_is_unhealthy_and_says_what_is_left(tmp_path: Path) -> None:
    (result,) = DiskCheck((str(tmp_path),), Limit(0, 0)).run()
    assert result.status == "unhealthy"
    assert "GiB are free" in result.message or "inodes" in result.message


def test_each_path_is_an_instance_and_one_that_is_missing_says_so(tmp_path: Path) -> None:
    missing = str(tmp_path / "nowhere")
    good, bad = DiskCheck((str(tmp_path), missing), NEVER).run()
    assert good.status == "healthy"
    assert (bad.status, bad.instance) == ("unhealthy", missing)
    assert bad.message == "It can't be looked at: No such file or directory."


def test_the_disk_is_the_projects_unless_others_are_named(tmp_path: Path) -> None:
    named = only(list(disk.checks(Settings(base_dir=tmp_path, health_disks=("/", "/"))))).run()
    assert [result.instance for result in named] == ["/"]  # type: ignore[union-attr]
    usual = only(list(disk.checks(Settings(base_dir=tmp_path)))).run()
    assert [result.instance for result in usual] == [str(tmp_path)]  # type: ignore[union-attr]
    assert not only(list(disk.checks(Settings()))).is_possible()


def test_the_machines_memory_counts_where_there_is_no_other_limit(tmp_path: Path) -> None:
    result = MemoryCheck(ALWAYS, ControlGroup(tmp_path, tmp_path / "none")).run()
    assert result.observed["limit_of"] == "machine"
    assert result.observed["limit_bytes"] == psutil.virtual_memory().total
    assert result.status == "degraded"
    assert "of the machine's" in result.message


def test_a_containers_memory_counts_before_the_machines(group: Tree) -> None:
    limits = group(
        "0::/\n",
        memory_DOT_max=f"{100 * MIB}\n",
        memory_DOT_current=f"{97 * MIB}\n",
        memory_DOT_stat=f"anon {90 * MIB}\ninactive_file {1 * MIB}\n",
    )
    result = MemoryCheck(DEFAULTS["memory"], limits).run()
    assert result.status == "unhealthy"
    assert result.message == "96% of the container's 0.1 GiB are used."
    assert result.observed["used_bytes"] == 96 * MIB


def test_of_nested_groups_the_one_nearest_to_its_limit_counts(group: Tree) -> None:
    limits = group(
        "0::/system.slice/shop.service\n",
        system_DOT_slice__memory_DOT_max=f"{200 * MIB}",
        system_DOT_slice__memory_DOT_current=f"{190 * MIB}",
        system_DOT_slice__shop_DOT_service__memory_DOT_max=f"{100 * MIB}",
        system_DOT_slice__shop_DOT_service__memory_DOT_current=f"{10 * MIB}",
    )
    found = limits.memory(10**12)
    assert found is not None
    assert found.limit_bytes == 200 * MIB


def test_limits_of_control_groups_version_1_are_found(group: Tree) -> None:
    limits = group(
        "9:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n",
        memory__memory_DOT_limit_in_bytes=f"{100 * MIB}\n",  # in the container its own is the top
        memory__memory_DOT_usage_in_bytes=f"{50 * MIB}\n",
        memory__memory_DOT_stat=f"inactive_file 0\ntotal_inactive_file {10 * MIB}\n",
        cpu__cpu_DOT_cfs_quota_us="150000\n",
        cpu__cpu_DOT_cfs_period_us="100000\n",
        cpuacct__cpuacct_DOT_usage="2000000000\n",
    )
    assert limits.memory(10**12) == (40 * MIB, 100 * MIB)
    assert limits.processors() == (2.0, 1.5)


def test_no_limit_is_none(group: Tree) -> None:
    limits = group(
        "0::/\n",
        memory_DOT_max="max\n",
        memory_DOT_current="1\n",
        cpu_DOT_max="max 100000\n",
        cpu_DOT_stat="usage_usec 5\n",
    )
    assert limits.memory(10**12) is None
    assert limits.processors() is None
    version_1 = group(
        "9:memory:/\n4:cpu:/\n",
        memory__memory_DOT_limit_in_bytes="9223372036854771712\n",
        memory__memory_DOT_usage_in_bytes="1\n",
        cpu__cpu_DOT_cfs_quota_us="-1\n",
        cpu__cpu_DOT_cfs_period_us="100000\n",
    )
    assert version_1.memory(10**12) is None
    assert version_1.processors() is None


def test_the_machines_processors_are_told_at_the_first_look_and_judged_later(
    tmp_path: Path,
) -> None:
    check = CpuCheck(ALWAYS, ControlGroup(tmp_path, tmp_path / "none"))
    for least_s, status in ((0.2, "healthy"), (LEAST_JUDGED_S, "degraded")):
        result = check.run()
        assert 0 <= result.observed["used_ratio"] <= 1
        assert result.observed["over_s"] >= least_s
        assert result.observed["limit_of"] == "machine"
        assert result.status == status
        time.sleep(LEAST_JUDGED_S)


def test_a_container_that_uses_its_quota_up_is_unhealthy(group: Tree) -> None:
    def used(seconds: int) -> ControlGroup:
        text = f"usage_usec {seconds}000000\nuser_usec 1\n"
        return group("0::/\n", cpu_DOT_max="200000 100000\n", cpu_DOT_stat=text)

    check = CpuCheck(DEFAULTS["cpu"], used(1))
    assert check.run().observed["used_ratio"] == 0
    used(100)
    time.sleep(LEAST_JUDGED_S)
    result = check.run()
    assert result.status == "unhealthy"
    assert result.message == "100% of the container's processor time is used."


def test_the_load_is_that_of_a_processor() -> None:
    result = LoadCheck(ALWAYS).run()
    processors = os.cpu_count() or 1
    assert result.observed["processors"] == processors
    assert result.observed["load_per_processor"] == pytest.approx(
        result.observed["load_1m"] / processors, abs=0.02
    )
    assert result.status == "degraded"
    assert f"on {processors} processors" in result.message
