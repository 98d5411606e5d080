"""What starting costs: until the first response, and a command that isn't traced."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.contestants import Contestant
    from benchmarks.processes import Bench

COMMANDS = {
    "first response": ["-m", "benchmarks.site.first_response"],
    "manage.py check": ["-m", "benchmarks.site.manage", "check"],
}


@dataclass
class Started:
    """Seconds a run: command → values."""

    wall_s: dict[str, list[float]] = field(default_factory=dict)
    cpu_s: dict[str, list[float]] = field(default_factory=dict)
    invalid: str | None = None


def measure(bench: Bench, contestants: Sequence[Contestant], *, runs: int) -> dict[str, Started]:
    """Every command ``runs`` times for each contestant, by turns, after one that fills caches."""
    results = {contestant.name: Started() for contestant in contestants}
    for run in range(-1, runs):
        turn = run % len(contestants)
        for command, arguments in COMMANDS.items():
            for contestant in [*contestants[turn:], *contestants[:turn]]:
                result = results[contestant.name]
                wall_s, cpu_s, code = _timed(bench, contestant, arguments)
                if code:
                    result.invalid = f"{command} ended with {code}"
                if run >= 0:
                    result.wall_s.setdefault(command, []).append(wall_s)
                    result.cpu_s.setdefault(command, []).append(cpu_s)
    return results


def _timed(
    bench: Bench, contestant: Contestant, arguments: Sequence[str]
) -> tuple[float, float, int]:
    began = time.perf_counter()
    process = subprocess.Popen(
        [str(bench.pythons[contestant.name]), *arguments],
        cwd=bench.workspace,
        env=bench.environ(contestant, f"{contestant.name}.started"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    return wall_s, usage.ru_utime + usage.ru_stime, process.returncode
