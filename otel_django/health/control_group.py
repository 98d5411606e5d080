"""What the control groups of this process let it take: a container's limits, versions 1 and 2."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

_MOUNT: Final = Path("/sys/fs/cgroup")
_OWN: Final = Path("/proc/self/cgroup")
_S_PER_US: Final = 1e-6
_S_PER_NS: Final = 1e-9


class MemoryUse(NamedTuple):
    """Without what the kernel would give back first: files in memory that weren't used lately."""

    used_bytes: int
    limit_bytes: int


class ProcessorUse(NamedTuple):
    """Seconds of processors that were used so far, of as many processors as may be used."""

    used_s: float
    processors: float


class ControlGroup:
    """This process's group and those above it; None where there is no limit, or no groups.

    ``mount`` is where they are mounted, ``own`` the file that says which are this process's.
    """

    def __init__(self, mount: Path = _MOUNT, own: Path = _OWN) -> None:
        self._mount = mount
        self._own = own

    def memory(self, machine_bytes: int) -> MemoryUse | None:
        """Of the group that is nearest to its limit."""
        found = []
        for folder in self._folders("memory"):
            limit = _number(folder / "memory.max") or _number(folder / "memory.limit_in_bytes")
            used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes")
            if limit and used is not None and limit < machine_bytes:
                stat = _fields(folder / "memory.stat")
                idle = stat.get("total_inactive_file", stat.get("inactive_file", 0))
                found.append(MemoryUse(max(0, used - idle), limit))
        return max(found, key=lambda use: use.used_bytes / use.limit_bytes, default=None)

    def processors(self) -> ProcessorUse | None:
        """Of the group that may use the fewest."""
        found = []
        for folder, counted in zip(self._folders("cpu"), self._folders("cpuacct"), strict=False):
            quota = _quota(folder)
            used_s = _used_s(folder, counted)
            if quota is not None and used_s is not None:
                found.append(ProcessorUse(used_s, quota))
        return min(found, key=lambda use: use.processors, default=None)

    def _folders(self, controller: str) -> Iterator[Path]:
        """The process's own group first, as far as they can be seen from inside a container."""
        for line in _text(self._own).splitlines():
            _, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            if controllers and controller not in controllers.split(","):
                continue
            mount = self._mount / controller if controllers else self._mount
            own = mount.joinpath(*(part for part in path.split("/") if part not in ("", "..")))
            for folder in (own, *own.parents):
                if folder.is_dir():
                    yield folder
                if folder == mount:
                    break


def _quota(folder: Path) -> float | None:
    quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
    if not quota:
        quota = _text(folder / "cpu.cfs_quota_us").strip()
        period = _text(folder / "cpu.cfs_period_us").strip()
    if not (quota.isdigit() and period.isdigit() and int(period)):
        return None  # "max" or "-1"
    return int(quota) / int(period)


def _used_s(folder: Path, counted: Path) -> float | None:
    used_us = _fields(folder / "cpu.stat").get("usage_usec")
    if used_us is not None:
        return used_us * _S_PER_US
    used_ns = _number(counted / "cpuacct.usage")
    return None if used_ns is None else used_ns * _S_PER_NS


def _fields(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in _text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
