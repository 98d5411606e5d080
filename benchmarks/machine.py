"""Where and when a run was made."""

from __future__ import annotations

import datetime as dt
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.contestants import ROOT
from benchmarks.environments import versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SHOWN = (
    "Django",
    "gunicorn",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation-django",
    "django-prometheus",
    "sentry-sdk",
)


@dataclass(frozen=True)
class Surroundings:
    date: str
    commit: str
    processor: str
    cores: int
    system: str
    python: str
    load: str
    versions: Mapping[str, str]


def surroundings(pythons: Iterable[Path]) -> Surroundings:
    """This machine, this checkout, and what the environments hold."""
    # The peers' requirements may hold back a package that ours doesn't: then both are named.
    found: dict[str, set[str]] = {}
    for python in sorted(set(pythons)):
        held = {name.lower(): version for name, version in versions(python).items()}
        for name in _SHOWN:
            if name.lower() in held:
                found.setdefault(name, set()).add(held[name.lower()])
    return Surroundings(
        date=dt.datetime.now(dt.timezone.utc).strftime("%Y-%m-%d"),
        commit=_commit(),
        processor=_processor(),
        cores=os.cpu_count() or 1,
        system=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        load=f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown",
        versions={name: " and ".join(sorted(each)) for name, each in found.items()},
    )


def _processor() -> str:
    description = Path("/proc/cpuinfo")
    if description.exists():
        for line in description.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    return done.stdout.strip() or "unknown"
