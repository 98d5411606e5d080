"""What visitors notice while a part of the real stack is away.

``python -m benchmarks.outages [--per-second 40] [--seconds 60] [--away collector …] [--nice 10]``

The shop (gunicorn, Celery) exports to the real Collector, Jaeger, Loki and Prometheus. After a
quiet minute each of the four is killed, is away for a minute and comes back, while visitors keep
coming. Told are the 50th and 99th percentile of their waiting in each minute, in the half minute
after it and in both together, with everyone's processor time, and that nothing is missing at the
end. With ``--nice`` the four give way to the site, as if they had a machine of their own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.integration.shop_kit import shop
from tests.stack.load_kit import Arrived, Load
from tests.stack.stack_kit import Service, Stack, exporting_to, stack

AWAY = ("jaeger", "loki", "prometheus", "collector")
BUDGET = 1.25
WARM_UP_S, BACK_S = 20.0, 30.0


class Phase(NamedTuple):
    """``p50_ms`` and ``p99_ms`` of the visitors' waiting; processors used, by program."""

    name: str
    p50_ms: float
    p99_ms: float
    cpu: dict[str, float]


class Watch:
    """Begins and ends phases, by the clock and by everyone's processor time."""

    def __init__(self, programs: Stack, site_pids: Sequence[int]) -> None:
        self._programs = programs
        self._site_pids = site_pids
        self._phases: list[tuple[str, float, float, dict[str, float]]] = []

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """The block is one."""
        begun_s, before = time.monotonic(), self._cpu_s()
        yield
        ended_s, after = time.monotonic(), self._cpu_s()
        used = {
            who: round((cpu_s - before.get(who, 0.0)) / (ended_s - begun_s), 3)
            for who, cpu_s in after.items()
        }
        self._phases.append((name, begun_s, ended_s, used))

    def _cpu_s(self) -> dict[str, float]:
        running = {one.name: [one.pid] for one in self._programs if one.is_running}
        return {
            who: sum(map(_cpu_s, pids))
            for who, pids in {"site": self._site_pids, **running}.items()
        }

    def phases(self, load: Load) -> Iterator[Phase]:
        """All of them, in their order."""
        for name, begun_s, ended_s, used in self._phases:
            times_s = load.times_s(begun_s, ended_s)
            yield Phase(name, _percentile(times_s, 50), _percentile(times_s, 99), used)


def _cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def measured(
    programs: Stack, folder: Path, away: Sequence[str], per_second: float, seconds: float
) -> tuple[int, list[Phase]]:
    """The requests that were sent, and what was noticed.

    Raises:
        AssertionError: when something of them is missing.
    """
    began_s = time.time()
    env = {**exporting_to(programs.collector), "OTEL_SERVICE_NAME": "outages"}
    with shop(folder, "--workers", "2", more_env=env) as site:
        load = Load(site.server.port, per_second=per_second)
        watch = Watch(programs, site.server_workers)
        with load.coming():
            time.sleep(WARM_UP_S)
            with watch.phase("quiet"):
                time.sleep(seconds)
            for name in away:
                program = getattr(programs, name)
                program.kill()
                with watch.phase(f"{name} in all"):
                    with watch.phase(f"{name} away"):
                        time.sleep(seconds)
                    with watch.phase(f"{name} back"):
                        program.start()
                        time.sleep(BACK_S)
        sent = load.counts()
        assert load.unanswered() == 0
        Arrived(programs, "outages", began_s).wait_for(sent)
    return sent.total(), list(watch.phases(load))


def _percentile(times_s: Sequence[float], share: int) -> float:
    return round(1e3 * times_s[min(len(times_s) - 1, len(times_s) * share // 100)], 2)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--per-second", type=float, default=40.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--away", nargs="+", choices=AWAY, default=AWAY)
    parser.add_argument("--nice", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    Service.niceness = asked.nice
    with (
        tempfile.TemporaryDirectory(prefix="otel-django-outages-") as folder,
        stack(Path(folder, "stack")) as programs,
    ):
        sent, phases = measured(programs, Path(folder), asked.away, asked.per_second, asked.seconds)
    if asked.json:
        print(json.dumps({"requests": sent, "phases": [phase._asdict() for phase in phases]}))
        return
    quiet_ms = phases[0].p99_ms
    for name, p50_ms, p99_ms, cpu in phases:
        times = p99_ms / quiet_ms
        over = "  over the budget" if times > BUDGET else ""
        print(f"{name:18} p50 {p50_ms:6.1f} ms  p99 {p99_ms:6.1f} ms = {times:.2f} x{over}")
        print(" " * 18, "processors:", ", ".join(f"{who} {used:.2f}" for who, used in cpu.items()))
    print(f"{sent} requests, each found in all three")


if __name__ == "__main__":
    main()
