"""Whether there is space left on the disks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from otel_django.health.check import Registered
from otel_django.health.judging import judged
from otel_django.health.results import Result

if TYPE_CHECKING:
    from otel_django.conf import Settings
    from otel_django.conf.limits import Limit


def checks(settings: Settings) -> Iterator[Registered]:
    """One check, an instance a path."""
    paths = settings.health_disks or tuple(str(path) for path in (settings.base_dir,) if path)
    check = DiskCheck(tuple(dict.fromkeys(paths)), settings.health_limits["disk"])
    yield Registered("disk", check.run, groups=frozenset(), is_possible=lambda: bool(paths))


@dataclass(frozen=True)
class DiskCheck:
    """``limit`` is in per cent: of the bytes, and of the inodes where there is a number of them.

    What is kept for root counts neither as used nor as free.
    """

    paths: tuple[str, ...]
    limit: Limit

    def run(self) -> list[Result]:
        """Look at each."""
        return [self._look(path) for path in self.paths]

    def _look(self, path: str) -> Result:
        import psutil

        try:
            space = psutil.disk_usage(path)
            inodes_ratio = _inodes_used(path)
        except OSError as error:
            return Result("unhealthy", f"It can't be looked at: {error.strerror}.", instance=path)
        ratio = space.used / ((space.used + space.free) or 1)
        observed: dict[str, Any] = {
            "used_ratio": round(ratio, 4),
            "used_bytes": space.used,
            "free_bytes": space.free,
        }
        message = f"{ratio:.0%} of the space is used, {space.free / 2**30:.1f} GiB are free."
        if inodes_ratio is not None:
            observed["inodes_used_ratio"] = round(inodes_ratio, 4)
            if inodes_ratio > ratio:
                message = f"{inodes_ratio:.0%} of the inodes are used: there are too many files."
        status = judged(100 * max(ratio, inodes_ratio or 0.0), self.limit)
        return Result(status, message if status != "healthy" else "", observed, path)


def _inodes_used(path: str) -> float | None:
    """None where a file system makes them as it needs them."""
    if not hasattr(os, "statvfs"):
        return None
    found = os.statvfs(path)
    used = found.f_files - found.f_ffree
    usable = used + found.f_favail
    return used / usable if found.f_files and usable else None
